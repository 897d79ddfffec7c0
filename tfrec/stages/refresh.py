"""an index + what was changed of its items since -> an index of what there is now."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import tensorflow as tf

from tfrec.data.catalogue import ID, NAME, Catalogue
from tfrec.data.prepared import PreparedData
from tfrec.data.query_set import QuerySet
from tfrec.errors import UserError
from tfrec.evaluation.embedding_ranker import EmbeddingRanker
from tfrec.models.signatures import EMBED_ITEM
from tfrec.retrieval.config import IndexConfig
from tfrec.serving.changes import Change, newest
from tfrec.serving.client import Client
from tfrec.serving.feature_inputs import feature_inputs
from tfrec.serving.names import MEASURE_RECALL, RECALL, K
from tfrec.stages.artifact import Artifact, produce
from tfrec.stages.index import ItemIndex, build
from tfrec.stages.reporter import Reporter
from tfrec.stages.train import TrainedModel

_EMBEDDED_TOGETHER = 4096
_ASKED, _ASKED_TOGETHER = 200, 20
_FULL = 0.8
_NOISE = 0.01


class Freshness(NamedTuple):
    """How far what is served has come from what was built.

    Attributes:
      recall: the mean of held-out queries at the server, among the items that there are now.
      built: what it was when the index was built.
      promised: what the config promises.
      changed: items changed since then.
      slots: how many changes there is room for.
    """

    recall: float
    built: float
    promised: float
    changed: int
    slots: int

    @property
    def stale(self) -> bool:
        """Whether to build anew: recall fell below what is promised, or room is nearly used up."""
        decayed = self.recall < min(self.promised, self.built - _NOISE)
        return decayed or self.changed >= _FULL * self.slots


def measure_recall(
    client: Client, model: str, prepared: Artifact, trained: TrainedModel, k: int
) -> float:
    """Measures recall at a server, by up to 200 held-out queries.

    Args:
      client: the server.
      model: the model's name there.
      prepared: prepared data.
      trained: the model.
      k: how many items a query asks for.

    Returns:
      The mean share of the exact first `k` items that are found.
    """
    data = PreparedData(prepared.path)
    queries = QuerySet(QuerySet.read_held_out(data, trained.queries).table.slice(0, _ASKED))
    k = min(k, len(Catalogue(data.catalogue)))
    found: list[float] = []
    for batch in queries.batches(_ASKED_TOGETHER):
        inputs = {**batch.inputs(batch.features), K: np.array(k, np.int32)}
        answer = client.predict(model, inputs, signature=MEASURE_RECALL, timeout_seconds=60)
        found.extend(answer[RECALL])
    return float(np.mean(found))


def refresh(
    config: IndexConfig,
    prepared: Artifact,
    trained: TrainedModel,
    indexed: ItemIndex,
    changes: Path,
    output: Path,
    reporter: Reporter | None = None,
) -> ItemIndex:
    """Builds an index anew, of the prepared catalogue with all changes since.

    Args:
      config: the `index` section.
      prepared: prepared data.
      trained: the model; its item tower embeds what was added or changed.
      indexed: the index of the prepared catalogue.
      changes: `changes.jsonl` of the served model.
      output: directory of the artefact.
      reporter: hears of the steps.

    Returns:
      The artefact, with a catalogue of its own; its summary holds the moment of the last change
      that is in it, `since`.

    Raises:
      UserError: if the model embeds no items, nothing is left, or the promised recall cannot be
        reached.
    """
    reporter = reporter or Reporter()
    made = newest(changes, prepared.began)

    def make(directory: Path) -> dict[str, Any]:
        data = PreparedData(prepared.path)
        model = tf.saved_model.load(str(trained.saved_model))
        vectors = indexed.embeddings()
        if vectors is None:
            raise UserError(f"{trained.path}: the model scores a fixed catalogue; train it anew")
        reporter.step(f"embedding {len(made):,} changed items")
        catalogue = Catalogue(data.catalogue)
        put = [change for change in made if "features" in change]
        kept = np.flatnonzero(~np.isin(catalogue.ids, [change["item"] for change in made]))
        table = pa.concat_tables([catalogue.table.take(kept), _rows(put, catalogue)])
        embeddings = np.concatenate([vectors[kept], _embed(model, put, prepared)])
        order = np.argsort(table[ID].to_numpy())
        pa.parquet.write_table(table.take(order), ItemIndex(directory).catalogue)
        queries = EmbeddingRanker(model, vectors).embed(
            QuerySet.read_held_out(data, trained.queries)
        )
        summary = build(config, embeddings[order], queries, directory, reporter)
        since = max((change["moment"] for change in made), default=prepared.began)
        return {**summary, "since": since, "put": len(put), "removed": len(made) - len(put)}

    inputs = {
        "prepare": prepared.manifest.id,
        "train": trained.manifest.id,
        "index": indexed.manifest.id,
        "changes": hashlib.sha256(json.dumps(made).encode()).hexdigest(),
    }
    return ItemIndex(produce("refresh", config.model_dump(mode="json"), inputs, output, make).path)


def _rows(put: Sequence[Change], catalogue: Catalogue) -> pa.Table:
    """Items that were put, as rows of the catalogue."""
    items = [change["item"] for change in put]
    rows = catalogue.rows(items)
    names = np.where(rows >= 0, catalogue.names[rows], items)
    own = {ID: items, NAME: names.tolist()}
    schema = catalogue.table.schema
    return pa.table(
        [
            pa.array(
                own.get(name) or [change["features"].get(name) for change in put],
                schema.field(name).type,
            )
            for name in schema.names
        ],
        schema,
    )


def _embed(model: Any, put: Sequence[Change], prepared: Artifact) -> np.ndarray:
    """The vectors of items: `[items, dim]`."""
    embed = model.signatures[EMBED_ITEM]
    item = prepared.manifest.summary["item"]
    (vectors,) = embed.structured_outputs.values()
    found = [np.empty([0, vectors.shape[1]], np.float32)]
    for start in range(0, len(put), _EMBEDDED_TOGETHER):
        some = put[start : start + _EMBEDDED_TOGETHER]
        rows = [{**change["features"], item: change["item"]} for change in some]
        inputs = feature_inputs(embed.structured_input_signature[1], rows)
        (vectors,) = embed(**{name: tf.constant(value) for name, value in inputs.items()}).values()
        found.append(vectors.numpy())
    return np.concatenate(found)
