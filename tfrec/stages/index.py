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
from tfrec.retrieval.config import IndexConfig, Promise
from tfrec.retrieval.measure import measure_filtered
from tfrec.retrieval.saving import save_index
from tfrec.retrieval.scored import Scored
from tfrec.retrieval.tuning import choose_kind, tune
from tfrec.stages.artifact import Artifact, produce
from tfrec.stages.reporter import Reporter
from tfrec.stages.train import TrainedModel

_EMBEDDINGS = "embeddings.npy"
_TUNED_ON = 1000


class ItemIndex(Artifact):
    """The catalogue's vectors, and an index of them."""

    @property
    def saved_model(self) -> Path:
        """SavedModel with the functions `search` and `search_allowed` of `Index`."""
        return self.path / "saved_model"

    @property
    def twin(self) -> Path:
        """The same for servers with TensorFlow's own ops, where `saved_model` needs ScaNN's."""
        return self.path / "twin"

    @property
    def catalogue(self) -> Path:
        """The items by row, where they are not those of the prepared data."""
        return self.path / "catalogue.parquet"

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
            save_index(Scored(items), items, ItemIndex(directory).saved_model)
            return {"items": items, "kind": "scored by the model"}
        reporter.step("embedding the catalogue")
        embed = model.signatures["embed_item_examples"]
        batches = read_serialized(data.items)
        embeddings = np.concatenate([embed(examples=b)[EMBEDDING].numpy() for b in batches])
        queries = EmbeddingRanker(model, embeddings).embed(
            QuerySet.read_held_out(data, trained.queries)
        )
        return build(config, embeddings, queries, directory, reporter)

    inputs = {"prepare": prepared.manifest.id, "train": trained.manifest.id}
    return ItemIndex(produce("index", config.model_dump(mode="json"), inputs, output, make).path)


def build(
    config: IndexConfig,
    embeddings: np.ndarray,
    queries: np.ndarray,
    directory: Path,
    reporter: Reporter,
) -> dict[str, Any]:
    """Tunes an index of some vectors and writes it.

    Args:
      config: the `index` section.
      embeddings: `[items, dim]` float32.
      queries: `[n, dim]` float32, held-out queries; the first thousand are measured on.
      directory: of the artefact.
      reporter: hears of the steps.

    Returns:
      The artefact's summary.

    Raises:
      UserError: if the promised recall cannot be reached.
    """
    artifact, promise = ItemIndex(directory), config.promise
    np.save(directory / _EMBEDDINGS, embeddings)
    zeros = int((~embeddings.any(axis=1)).sum())
    if zeros:
        reporter.warn(
            f"{zeros:,} of {len(embeddings):,} item vectors are zero; the scores of these "
            "items are 0"
        )
    queries = queries[:_TUNED_ON]
    kind = choose_kind(config, len(embeddings))

    def show(setting: str, done: int, builds: int) -> None:
        reporter.progress(f"tuning: {setting}", done, builds)

    reporter.step(f"tuning {kind.replace('_', ' ')} search")
    tuned = tune(kind, embeddings, queries, promise, show)
    save_index(tuned.index, embeddings.shape[1], artifact.saved_model)
    if kind == "scann":
        reporter.step("tuning its twin in TensorFlow's own ops")
        twin = tune("partitioned", embeddings, queries, _without_ceilings(promise), show)
        save_index(twin.index, embeddings.shape[1], artifact.twin)
    reporter.step("measuring searches with filters")
    k = min(promise.k, len(embeddings))
    filtered = measure_filtered(tuned.index, BruteForce(embeddings), embeddings, queries, k)
    return {
        "items": len(embeddings),
        "dim": embeddings.shape[1],
        "kind": kind,
        f"recall@{k}": tuned.chosen.recall,
        "milliseconds_per_query": tuned.chosen.milliseconds,
        "megabytes": tuned.chosen.megabytes,
        "measured_on_queries": len(queries),
        "chosen": tuned.chosen._asdict(),
        "measured": [one._asdict() for one in tuned.measured],
        "filtered": [one._asdict() for one in filtered],
        "zero_vectors": zeros,
    }


def _without_ceilings(promise: Promise) -> Promise:
    return Promise(recall=promise.recall, k=promise.k)
