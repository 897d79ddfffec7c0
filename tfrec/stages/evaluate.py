"""a trained model + the test window -> measurements, with the baselines beside them."""

from pathlib import Path
from typing import Any

import tensorflow as tf

from tfrec.data.prepared import TEST, TRAIN, PreparedData
from tfrec.data.query_set import QuerySet
from tfrec.evaluation.config import EvaluationConfig
from tfrec.evaluation.embedding_ranker import EmbeddingRanker
from tfrec.evaluation.full_ranking import evaluate as evaluate_ranker
from tfrec.models.baselines import BASELINES
from tfrec.models.ranker import Ranker
from tfrec.stages.artifact import Artifact, produce
from tfrec.stages.index import ItemIndex
from tfrec.stages.reporter import Reporter
from tfrec.stages.train import TrainedModel

MODEL = "model"


def evaluate(
    config: EvaluationConfig,
    prepared: Artifact,
    trained: TrainedModel,
    indexed: ItemIndex,
    output: Path,
    reporter: Reporter | None = None,
) -> Artifact:
    """Ranks the whole catalogue for every shopper of the test window.

    Args:
      config: the `evaluation` section.
      prepared: prepared data.
      trained: the model.
      indexed: the catalogue's vectors.
      output: directory of the artefact.
      reporter: hears of the steps.

    Returns:
      The artefact; its summary holds ranker -> slice -> metric -> value.

    Raises:
      UserError: if a cutoff is longer than the catalogue.
    """
    reporter = reporter or Reporter()

    def make(directory: Path) -> dict[str, Any]:
        data = PreparedData(prepared.path)
        queries = QuerySet.read(data.queries(TEST))
        embeddings = indexed.embeddings()
        model = tf.saved_model.load(str(trained.saved_model))
        counts = data.item_counts(TRAIN)
        rankers: dict[str, Ranker] = {MODEL: EmbeddingRanker(model, embeddings)}
        rankers |= {name: BASELINES[name](counts) for name in config.baselines}
        results = {}
        for done, (name, ranker) in enumerate(rankers.items()):
            reporter.progress(f"ranking the catalogue: {name}", done, len(rankers))
            results[name] = evaluate_ranker(ranker, queries, config.k)
        return {"metrics": results}

    inputs = {"prepare": prepared.manifest.id, "index": indexed.manifest.id}
    return produce("evaluate", config.model_dump(mode="json"), inputs, output, make)
