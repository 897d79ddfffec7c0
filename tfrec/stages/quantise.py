"""a trained model -> the same in fewer bytes, and what that changes."""

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfrec.data.catalogue import Catalogue
from tfrec.data.prepared import TEST, TRAIN, PreparedData
from tfrec.data.query_set import QuerySet
from tfrec.embeddings.quantised import Precision
from tfrec.errors import UserError
from tfrec.evaluation.catalogue_ranker import CatalogueRanker
from tfrec.evaluation.config import Protocol
from tfrec.evaluation.embedding_ranker import EmbeddingRanker
from tfrec.evaluation.evaluator import Progress, evaluate
from tfrec.evaluation.measures import Items
from tfrec.models.ranker import Ranker
from tfrec.models.template import load_template, source_digest
from tfrec.stages.artifact import Artifact
from tfrec.stages.index import ItemIndex
from tfrec.stages.train import TrainedModel, save_model
from tfrec.training.job import TrainingJob

TRAINED: Precision = "float32"
_METRICS = ("recall", "ndcg")


def save_quantised(
    trained: TrainedModel, prepared: Artifact, precision: Precision, path: Path
) -> None:
    """Saves a trained model once more, its tables and dense layers in fewer bytes.

    Args:
      trained: the model; it is made anew of its checkpoint.
      prepared: the data that it was trained on.
      precision: `float16` or `int8`.
      path: directory of the SavedModel.

    Raises:
      UserError: if the model is one in closed form, its template was changed since, or its weights
        cannot be kept so.
    """
    if "template" not in trained.manifest.inputs or "training" not in trained.manifest.config:
        raise UserError(
            f"serving.precision: {precision}, but {trained.path} is a model in closed form, which "
            "has no embedding tables; leave it out"
        )
    job = TrainingJob.read(trained.path).model_copy(update={"prepared": prepared.path})
    template, _ = load_template(job.model)
    if source_digest(template) != trained.manifest.inputs["template"]:
        raise UserError(
            f"serving.precision: {precision}, but the source of {job.model.template} was changed "
            f"since {trained.path} was trained; train it again"
        )
    save_model(job, path, precision)


def stored_bytes(saved_model: Path) -> int:
    """The size of a SavedModel's variables."""
    return sum(file.stat().st_size for file in (saved_model / "variables").iterdir())


def measure_change(
    trained: TrainedModel,
    quantised: Path,
    prepared: Artifact,
    indexed: ItemIndex,
    protocol: Protocol,
    progress: Progress = lambda *_: None,
) -> dict[str, dict[str, dict[str, float]]]:
    """Measures what fewer bytes change for the shoppers of the test window.

    The whole catalogue is ranked exactly, by both models. An index holds the vectors of the trained
    model: there only queries differ.

    Args:
      trained: the model.
      quantised: SavedModel of the same in fewer bytes.
      prepared: prepared data.
      indexed: the catalogue's vectors.
      protocol: how to measure; of its metrics recall and NDCG are measured, in all shoppers.
      progress: hears how many shoppers are done.

    Returns:
      `all`, `new_to_shopper` -> metric -> `trained` and `quantised`, the means; the `difference`
      that fewer bytes make, and the ends of its confidence interval, `low` and `high`.
    """
    data = PreparedData(prepared.path)
    vectors = _vectors(indexed, data)
    rankers = {
        "quantised": _ranker(quantised, vectors),
        "trained": _ranker(trained.saved_model, vectors),
    }
    measured = evaluate(
        rankers,
        QuerySet.read(data.queries(TEST, trained.queries)),
        Items(data.item_counts(TRAIN)),
        protocol.model_copy(update={"metrics": _METRICS, "slices": ()}),
        progress,
    ).summary()
    metrics, comparisons = measured["metrics"], measured["comparisons"]["trained"]
    return {
        name: {
            metric: {
                "trained": metrics["trained"][name][metric],
                "quantised": metrics["quantised"][name][metric],
                **{figure: found[figure] for figure in ("difference", "low", "high")},
            }
            for metric, found in compared.items()
        }
        for name, compared in comparisons.items()
    }


def _vectors(indexed: ItemIndex, data: PreparedData) -> np.ndarray | None:
    """The vectors of an index by row of the prepared catalogue, zero for what is not in it."""
    vectors = indexed.embeddings()
    if vectors is None or not indexed.catalogue.exists():
        return vectors
    rows = Catalogue(indexed.catalogue).rows(Catalogue(data.catalogue).ids)
    return np.where(rows[:, np.newaxis] < 0, np.float32(0), vectors[rows])


def _ranker(saved_model: Path, vectors: np.ndarray | None) -> Ranker:
    model: Any = tf.saved_model.load(str(saved_model))
    return CatalogueRanker(model) if vectors is None else EmbeddingRanker(model, vectors)
