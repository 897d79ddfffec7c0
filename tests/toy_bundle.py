"""A bundle whose answers depend on every value of every feature, for prepared data."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfrec.data.catalogue import Catalogue
from tfrec.data.prepared import PreparedData
from tfrec.retrieval.brute_force import BruteForce
from tfrec.retrieval.saving import save_index
from tfrec.serving.export import export_bundle
from tfrec.stages.artifact import Manifest
from tfrec.stages.export import ServingBundle

DIM, ROWS = 4, 997


def write_toy_bundle(
    prepared: PreparedData, inputs: Mapping[str, tf.TensorSpec], folder: Path
) -> ServingBundle:
    """Joins a model of random vectors for hashed strings with exact search among random items.

    Args:
      prepared: holds the catalogue.
      inputs: what the model takes.
      folder: where the bundle goes.
    """
    random = np.random.default_rng(0)
    ids = list(Catalogue(prepared.catalogue).ids)
    items = random.normal(size=(len(ids), DIM)).astype(np.float32)
    save_index(BruteForce(items), DIM, folder / "parts" / "index")
    _save_model(inputs, random, folder / "parts" / "model")
    export_bundle(
        folder / "parts" / "model", folder / "parts" / "index", ids, 5, folder / "toy" / "1"
    )
    manifest = Manifest(
        stage="export", id="1", digest="2", config={}, inputs={}, versions={}, seconds=0,
        peak_memory_bytes=0,
        summary={"name": "toy", "version": 1, "prepared": str(prepared.path.resolve())},
    )  # fmt: skip
    (folder / "manifest.json").write_text(manifest.model_dump_json())
    return ServingBundle(folder)


def _save_model(
    inputs: Mapping[str, tf.TensorSpec], random: np.random.Generator, path: Path
) -> None:
    module = tf.Module()
    vectors = tf.constant(random.normal(size=(ROWS, DIM)), tf.float32)
    ways = {name: tf.constant(random.normal(size=(spec.shape[-1] or 1, DIM)), tf.float32)
            for name, spec in inputs.items()}  # fmt: skip

    def vector(name: str, values: tf.Tensor) -> tf.Tensor:
        values = values if values.shape.rank == 2 else values[:, tf.newaxis]
        if values.dtype == tf.string:
            rows = tf.strings.to_hash_bucket_fast(name + values, ROWS)
            there = tf.cast(values != "", tf.float32)[..., tf.newaxis]
            return tf.reduce_sum(tf.gather(vectors, rows) * there, axis=1)
        return tf.matmul(tf.where(tf.math.is_nan(values), -1.0, values), ways[name])

    @tf.function(input_signature=[dict(inputs)])
    def embed_query(features: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return {"embedding": tf.add_n([vector(name, features[name]) for name in sorted(features)])}

    module.vectors, module.ways, module.embed_query = vectors, ways, embed_query
    tf.saved_model.save(module, str(path), signatures={"embed_query": embed_query})
