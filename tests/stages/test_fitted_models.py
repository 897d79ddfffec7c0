"""Models in closed form go through the stages as trained ones do."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf

from tfrec.config import validate
from tfrec.data.catalogue import Catalogue
from tfrec.data.prepared import TEST, PreparedData
from tfrec.data.query_set import QuerySet
from tfrec.errors import UserError
from tfrec.evaluation.config import EvaluationConfig
from tfrec.features import FeatureSpec
from tfrec.models.template import ModelConfig
from tfrec.retrieval.config import IndexConfig
from tfrec.serving.config import ServingConfig
from tfrec.stages.artifact import Artifact
from tfrec.stages.evaluate import EvaluationArtifact, evaluate
from tfrec.stages.export import ServingBundle, export
from tfrec.stages.index import index
from tfrec.stages.train import TrainedModel, train
from tfrec.training.config import TrainingConfig


class Made(NamedTuple):
    trained: TrainedModel
    evaluation: EvaluationArtifact
    bundle: ServingBundle


@pytest.fixture(scope="module")
def made(
    prepared: PreparedData, spec: FeatureSpec, tmp_path_factory: pytest.TempPathFactory
) -> Made:
    folder, artifact = tmp_path_factory.mktemp("fitted"), Artifact(prepared.path)
    model = ModelConfig.model_validate({"template": "tfrec.models.EASE", "l2": 50.0})
    trained = train(TrainingConfig(), model, spec, artifact, folder / "train")
    indexed = index(IndexConfig(), artifact, trained, folder / "index")
    protocol = {"k": [5], "resamples": 100, "baselines": ["popularity", "item_knn"]}
    section = validate(EvaluationConfig, protocol, "evaluation")
    evaluation = evaluate(section, artifact, trained, indexed, folder / "evaluate")
    serving = validate(ServingConfig, {"name": "shop", "root": str(folder / "serving")}, "serving")
    bundle = export(serving, artifact, trained, indexed, folder / "export")
    return Made(trained, evaluation, bundle)


def test_evaluation_shows_a_fitted_model_beside_the_baselines(made: Made) -> None:
    metrics = made.evaluation.manifest.summary["metrics"]

    assert list(metrics) == ["model", "popularity", "item_knn"]
    assert metrics["model"]["new_to_shopper"]["recall@5"] > 0
    assert metrics["model"] != metrics["item_knn"]


def test_served_recommendations_are_the_best_scores_without_the_excluded(
    made: Made, prepared: PreparedData
) -> None:
    served = tf.saved_model.load(str(made.bundle.version)).signatures
    ids = Catalogue(prepared.catalogue).ids
    queries = QuerySet(QuerySet.read(prepared.queries(TEST)).table.slice(0, 3))
    inputs = {"recent": tf.constant(queries.inputs(["recent"])["recent"])}

    scores = served["score_catalogue"](**inputs)["scores"].numpy()
    best = np.array(ids)[np.argsort(-scores, axis=1, kind="stable")]
    exclude = tf.constant(best[:, :1].tolist())
    answer = served["recommend"](**inputs, k=tf.constant(4), exclude=exclude)

    assert answer["ids"].numpy().astype(str).tolist() == best[:, 1:5].tolist()
    assert answer["scores"].numpy()[:, 0] == pytest.approx(np.sort(scores, axis=1)[:, -2])


def test_manifest_says_what_was_fitted_on_how_many_events(
    made: Made, prepared: PreparedData
) -> None:
    summary = made.trained.manifest.summary

    assert summary["template"] == "tfrec.models.EASE"
    assert summary["events"] == Artifact(prepared.path).manifest.summary["examples"]["train"]


def test_features_without_a_history_are_refused_with_the_remedy(
    prepared: PreparedData, spec: FeatureSpec, tmp_path: Path
) -> None:
    features = {name: f.model_dump() for name, f in spec.root.items() if name != "recent"}
    blind = validate(FeatureSpec, features)
    model = ModelConfig.model_validate({"template": "tfrec.models.Popularity"})

    with pytest.raises(UserError, match=r"^model.template: .* a history; add one .* of: sku"):
        train(TrainingConfig(), model, blind, Artifact(prepared.path), tmp_path / "train")


def test_settings_of_a_baseline_are_checked_by_name() -> None:
    with pytest.raises(UserError, match=r"evaluation.baselines: .*ease.l2"):
        validate(EvaluationConfig, {"baselines": {"ease": {"l2": -1}}}, "evaluation")
