import json

import pytest

from tfrec.config import validate
from tfrec.deploy.pipeline_config import PipelineConfig
from tfrec.deploy.submitters import check_runs_all, make_leading_submitter, make_submitter
from tfrec.deploy.tfjob_submitter import TFJobSubmitter
from tfrec.errors import UserError
from tfrec.training.cluster import run_cluster
from tfrec.training.existing_cluster import ExistingCluster

TFJOB = {"image": "shop/trainer:1", "volume": {"claim": "shop-data", "path": "/data"}}


def pipeline(**values: object) -> PipelineConfig:
    return validate(PipelineConfig, values, "pipeline")


def test_training_runs_here_unless_the_config_says_otherwise() -> None:
    assert make_submitter(pipeline(), "shop") is run_cluster
    assert make_submitter(pipeline(tfjob=TFJOB), "shop") is run_cluster


def test_training_runs_on_kubernetes_where_the_config_says_so() -> None:
    submitter = make_submitter(pipeline(training_on="tfjob", tfjob=TFJOB), "shop")

    assert isinstance(submitter, TFJobSubmitter)


def test_training_runs_in_the_cluster_that_the_environment_describes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster = {"cluster": {"chief": ["a:1"]}, "task": {"type": "chief", "index": 0}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(cluster))

    submitter = make_submitter(pipeline(training_on="tf_config"), "shop")

    assert isinstance(submitter, ExistingCluster)
    assert submitter.name == "chief-0"


def test_only_the_leader_of_a_cluster_goes_on_with_the_model(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster, config = {"chief": ["a:1"], "ps": ["b:1"]}, pipeline(training_on="tf_config")

    def make(kind: str) -> object:
        place = {"cluster": cluster, "task": {"type": kind, "index": 0}}
        monkeypatch.setenv("TF_CONFIG", json.dumps(place))
        return make_leading_submitter(config, "shop")

    assert isinstance(make("chief"), ExistingCluster)
    with pytest.raises(UserError, match=r"^TF_CONFIG: ps-0 does not lead .* by `tfrec pipeline jo"):
        make("ps")


def test_a_job_that_is_not_described_is_asked_for() -> None:
    with pytest.raises(UserError, match=r"^pipeline: training_on tfjob needs a section tfjob, e\."):
        pipeline(training_on="tfjob")


def test_a_way_to_train_that_does_not_exist_is_refused() -> None:
    with pytest.raises(UserError, match=r"pipeline.training_on: 'slurm'"):
        pipeline(training_on="slurm")


@pytest.mark.parametrize("on", ["processes", "tfjob"])
def test_one_process_runs_all_stages(on: str) -> None:
    check_runs_all(pipeline(training_on=on, tfjob=TFJOB))


def test_tasks_of_a_cluster_run_one_stage_together() -> None:
    with pytest.raises(UserError, match=r"^pipeline.training_on: tf_config has every task run"):
        check_runs_all(pipeline(training_on="tf_config"))
