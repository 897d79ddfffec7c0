"""The toy shop's gateway as a process, and its models as a server can load them.

Run as a program it serves until it is stopped: `toy_gateway.py FOLDER MODEL_SERVER REDIS`.
"""

import asyncio
import sys
from pathlib import Path

import tensorflow as tf
from gateway_shop import IDS, MODEL, SIGNATURES, make_gateway, make_online, write_catalogue

from tfrec.config import validate
from tfrec.service.flow.models_there import ModelsThere
from tfrec.service.http.config import HttpConfig
from tfrec.service.http.server import address, reserve, serve
from tfrec.service.open_store import open_store

RESILIENCE = {
    "request": "5s",
    "budgets": {"gather": "1s", "sources": "1s", "rank": "1s", "explain": "1s"},
    "breaker": {"failures": 2, "recover": "300ms"},
}
"""Long budgets, so that nothing is late on a machine that is busy with other tests."""


def write_toy_version(base_path: Path, version: int) -> Path:
    """Writes a version of the toy shop's model, and returns its directory."""
    model = _Toy()
    target = base_path / str(version)
    signatures = {name: getattr(model, name) for name in SIGNATURES[MODEL]}
    tf.saved_model.save(model, str(target), signatures=signatures)
    return target


def _signature(name: str) -> list[dict[str, tf.TensorSpec]]:
    inputs = SIGNATURES[MODEL][name].inputs
    return [{key: tf.TensorSpec(spec.shape, spec.dtype, key) for key, spec in inputs.items()}]


class _Toy(tf.Module):
    """Answers as hashes of shopper and item say."""

    @tf.function(input_signature=_signature("recommend"))
    def recommend(self, inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        items = tf.constant([IDS])
        gone = tf.reduce_any(items[..., tf.newaxis] == inputs["exclude"][:, tf.newaxis], axis=-1)
        scores = tf.where(gone, -1.0, _score("recommend", inputs, items))
        best, places = tf.math.top_k(scores, tf.minimum(inputs["k"], len(IDS)))
        return {"ids": tf.gather(items, places, axis=1, batch_dims=1), "scores": best}

    @tf.function(input_signature=_signature("rank"))
    def rank(self, inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return {task: _score(task, inputs, inputs["items"]) for task in ("click", "conversion")}

    @tf.function(input_signature=_signature("explain"))
    def explain(self, inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return {"reasons": tf.fill(tf.shape(inputs["items"]), "popular")}


def _score(task: str, inputs: dict[str, tf.Tensor], items: tf.Tensor) -> tf.Tensor:
    named = tf.constant(task) + inputs["visitor"][:, tf.newaxis] + items
    return tf.cast(tf.strings.to_hash_bucket_fast(named, 1000), tf.float32) / 1000


async def _serve(folder: Path, server: str, redis: str) -> None:
    config = validate(HttpConfig, {"port": 0, "storefront": False})
    listener = reserve(config)
    models = ModelsThere(server)
    store = open_store(redis, make_online(write_catalogue(folder)))
    resilience = RESILIENCE | {"cache": {"wait": "1s", "keep": "1s", "redis": redis}}
    gateway = make_gateway(folder, models, store, companions=False, resilience=resilience)
    ready = f"gateway toy: {address(config, listener)}"
    await serve(gateway, config, listener, lambda: print(ready, flush=True))


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1]), *sys.argv[2:]))
