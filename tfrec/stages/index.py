"""a trained model + the catalogue -> an index that keeps its promise."""

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfrec.data.catalogue import Catalogue
from tfrec.data.input_pipeline import read_serialized
from tfrec.data.prepared import PreparedData
from tfrec.data.query_set import QuerySet
from tfrec.evaluation.embedding_ranker import EmbeddingRanker
from tfrec.models.signatures import EMBEDDING, SCORE_CATALOGUE
from tfrec.retrieval.brute_force import BruteForce
from tfrec.retrieval.config import IndexConfig
from tfrec.retrieval.index import Index
from tfrec.retrieval.measure import measure_latency
from tfrec.retrieval.scann_index import Scann, keep_promise
from tfrec.retrieval.scored import Scored
from tfrec.stages.artifact import Artifact, produce
from tfrec.stages.reporter import Reporter
from tfrec.stages.train import TrainedModel

_EMBEDDINGS = "embeddings.npy"


class ItemIndex(Artifact):
    """The catalogue's vectors, and an index of them."""

    @property
    def saved_model(self) -> Path:
        """SavedModel with a function `search(queries, k, exclude)`."""
        return self.path / "saved_model"

    def embeddings(self) -> np.ndarray | None:
        """Reads the items' vectors: `[items, dim]` float32 by row of the catalogue.

        There are none of a model that scores the whole catalogue.
        """
        file = self.path / _EMBEDDINGS
        return np.load(file) if file.exists() else None


def index(
    config: IndexConfig,
    prepared: Artifact,
    trained: TrainedModel,
    output: Path,
    reporter: Reporter | None = None,
) -> ItemIndex:
    """Embeds the catalogue, indexes it, and measures the index on validation queries.

    A model that scores the whole catalogue itself needs no more than to have the best chosen.

    Args:
      config: the `index` section.
      prepared: prepared data.
      trained: the model.
      output: directory of the artefact.
      reporter: hears of the steps.

    Returns:
      The artefact; its summary holds the recall measured.

    Raises:
      UserError: if the promised recall cannot be reached.
    """
    reporter = reporter or Reporter()

    def make(directory: Path) -> dict[str, Any]:
        data = PreparedData(prepared.path)
        model = tf.saved_model.load(str(trained.saved_model))
        if SCORE_CATALOGUE in model.signatures:
            items = len(Catalogue(data.catalogue))
            _save(Scored(items), items, ItemIndex(directory).saved_model)
            return {"items": items, "kind": "scored by the model"}
        reporter.step("embedding the catalogue")
        embed = model.signatures["embed_item_examples"]
        batches = read_serialized(data.items)
        embeddings = np.concatenate([embed(examples=b)[EMBEDDING].numpy() for b in batches])
        np.save(directory / _EMBEDDINGS, embeddings)
        reporter.step("building the index")
        built = Scann(embeddings)
        reporter.step("measuring recall against exact search")
        queries = QuerySet.read_held_out(data)
        vectors = EmbeddingRanker(model, embeddings).embed(queries)
        exact = BruteForce(tf.constant(embeddings))
        recall = keep_promise(built, exact, vectors, config.promise)
        _save(built, embeddings.shape[1], ItemIndex(directory).saved_model)
        return {
            "items": built.items,
            "dim": embeddings.shape[1],
            f"recall@{config.promise.k}": recall,
            "milliseconds_per_query": round(measure_latency(built, vectors, config.promise.k), 3),
            "measured_on_queries": len(queries),
            "partitions": built.partitions,
            "partitions_probed": built.probed,
        }

    inputs = {"prepare": prepared.manifest.id, "train": trained.manifest.id}
    return ItemIndex(produce("index", config.model_dump(mode="json"), inputs, output, make).path)


def _save(built: Index, dim: int, path: Path) -> None:
    module = tf.Module()
    module.index = built
    module.search = tf.function(
        built.search,
        input_signature=[
            tf.TensorSpec([None, dim], tf.float32),
            tf.TensorSpec([], tf.int32),
            tf.TensorSpec([None, None], tf.int64),
        ],
    )
    tf.saved_model.save(
        module, str(path), options=tf.saved_model.SaveOptions(namespace_whitelist=["Scann"])
    )
