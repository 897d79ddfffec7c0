"""A ranker goes through the stages: it learns labels, is measured by them, and ranks by ids."""

from pathlib import Path
from typing import NamedTuple

import pytest
import tensorflow as tf
from busy_shop import spec_of

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

pytestmark = pytest.mark.timeout(600)


class Made(NamedTuple):
    trained: TrainedModel
    evaluation: EvaluationArtifact
    bundle: ServingBundle


@pytest.fixture(scope="module")
def made(busy: PreparedData, tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder, artifact = tmp_path_factory.mktemp("ranker"), Artifact(busy.path)
    model = ModelConfig.model_validate({"template": "tfrec.models.DNN", "hidden": [8]})
    training = TrainingConfig(strategy="single", batch_size=16)
    trained = train(training, model, spec_of(), artifact, folder / "train")
    indexed = index(IndexConfig(), artifact, trained, folder / "index")
    section = validate(EvaluationConfig, {"k": [3], "resamples": 100}, "evaluation")
    evaluation = evaluate(section, artifact, trained, indexed, folder / "evaluate")
    serving = validate(ServingConfig, {"name": "shop", "root": str(folder / "serving")}, "serving")
    bundle = export(serving, artifact, trained, indexed, folder / "export")
    return Made(trained, evaluation, bundle)


def test_predictions_are_measured_against_the_labels_of_the_test_part(
    made: Made, busy: PreparedData
) -> None:
    summary = made.evaluation.manifest.summary

    taken = summary["predictions"]["taken"]
    assert taken["examples"] == busy.example_files(TEST, "labelled").examples
    assert {"auc", "log_loss", "calibration_error"} <= set(taken)
    assert 0 < taken["log_loss"] < 2
    assert list(summary["metrics"]) == ["model", "popularity", "own_history"]


def test_served_bundle_ranks_given_items_and_recommends_the_best(
    made: Made, busy: PreparedData
) -> None:
    served = tf.saved_model.load(str(made.bundle.version)).signatures
    queries = QuerySet(QuerySet.read(busy.queries(TEST)).table.slice(0, 2))
    names = [n for n in served["rank"].structured_input_signature[1] if n != "items"]
    inputs = {name: tf.constant(value) for name, value in queries.inputs(names).items()}
    ids = list(Catalogue(busy.catalogue).ids)[:4]

    ranked = served["rank"](**inputs, items=tf.constant([ids, ids]))["taken"].numpy()
    best = served["recommend"](**inputs, k=tf.constant(2), exclude=tf.zeros([2, 0], tf.string))

    scores = served["score_catalogue"](**inputs)["scores"].numpy()
    assert ranked == pytest.approx(scores[:, :4], rel=1e-5)
    assert best["scores"].numpy()[:, 0] == pytest.approx(scores.max(axis=1), rel=1e-5)


def test_data_without_labels_are_refused_with_the_remedy(
    prepared: PreparedData, spec: FeatureSpec, tmp_path: Path
) -> None:
    model = ModelConfig.model_validate({"template": "tfrec.models.DNN"})

    with pytest.raises(UserError, match=r"learns from labelled, .* add data.labels"):
        train(
            TrainingConfig(strategy="single"), model, spec, Artifact(prepared.path), tmp_path / "t"
        )
