"""A ranker goes through the stages: it learns labels, is measured by them, and ranks by ids."""

import json
from pathlib import Path
from typing import NamedTuple

import pytest
import tensorflow as tf
from busy_shop import spec_of
from in_this_process import in_this_process

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
from tfrec.stages.index import ItemIndex, index
from tfrec.stages.reporter import Reporter
from tfrec.stages.train import TrainedModel, train
from tfrec.training.config import TrainingConfig

pytestmark = pytest.mark.timeout(1800)


MEASURED = {"k": [3], "resamples": 100}


class Begun(Reporter):
    """Hears of steps and of progress."""

    def __init__(self) -> None:
        self.steps: list[str] = []

    def step(self, what: str) -> None:
        self.steps.append(what)

    def progress(self, what: str, done: int, total: int) -> None:
        self.steps.append(what)


class Made(NamedTuple):
    trained: TrainedModel
    indexed: ItemIndex
    evaluation: EvaluationArtifact
    bundle: ServingBundle


@pytest.fixture(scope="module")
def made(busy: PreparedData, tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder, artifact = tmp_path_factory.mktemp("ranker"), Artifact(busy.path)
    model = ModelConfig.model_validate({"template": "tfrec.models.DNN", "hidden": [8]})
    training = TrainingConfig(strategy="single", batch_size=16)
    trained = train(
        training, model, spec_of(), artifact, folder / "train", submitter=in_this_process
    )
    indexed = index(IndexConfig(), artifact, trained, folder / "index")
    rules = [{"metric": "log_loss", "over": 2.0}, {"metric": "auc", "over": "last"}]
    section = validate(EvaluationConfig, {**MEASURED, "bless": rules}, "evaluation")
    evaluation = evaluate(section, artifact, trained, indexed, folder / "evaluate")
    serving = validate(ServingConfig, {"name": "shop", "root": str(folder / "serving")}, "serving")
    bundle = export(serving, artifact, trained, indexed, folder / "export")
    return Made(trained, indexed, evaluation, bundle)


def test_predictions_are_measured_against_the_labels_of_the_test_part(
    made: Made, busy: PreparedData
) -> None:
    summary = made.evaluation.manifest.summary

    taken = summary["predictions"]["taken"]
    assert taken["examples"] == busy.example_files(TEST, "labelled").examples
    assert {"auc", "log_loss", "calibration_error"} <= set(taken)
    assert 0 < taken["log_loss"] < 2
    assert list(summary["metrics"]) == ["model", "popularity", "own_history"]


def test_rules_of_predictions_bless_a_model(made: Made) -> None:
    summary = made.evaluation.manifest.summary
    log_loss = summary["predictions"]["taken"]["log_loss"]

    kept = json.loads(made.evaluation.path.with_name("blessed.json").read_text())

    assert made.evaluation.verdict.rules == (
        f"log_loss of task taken below 2: holds, {log_loss:.4f} against 2.0000",
        "auc of task taken above last: holds, no model was blessed before",
    )
    assert kept["metrics"]["task taken"] == summary["predictions"]["taken"]


def test_rule_of_a_metric_that_the_label_has_not_is_refused_before_measuring(
    made: Made, busy: PreparedData, tmp_path: Path
) -> None:
    rules = [{"metric": "rmse", "over": 1.0}]
    section = validate(EvaluationConfig, {**MEASURED, "bless": rules}, "evaluation")
    begun = Begun()

    with pytest.raises(UserError, match=r"bless\.0\.metric: rmse is not measured of taken; .*auc"):
        evaluate(section, Artifact(busy.path), made.trained, made.indexed, tmp_path / "e", begun)

    assert not begun.steps


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
