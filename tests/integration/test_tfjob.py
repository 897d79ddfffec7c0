"""Training on clusters that this machine's supervisor does not start: a TFJob's, and one's own."""

import json
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from fake_kubernetes import FakeKubernetes
from shop import Shop

from tfrec.config import validate
from tfrec.data.prepared import PreparedData
from tfrec.deploy.tfjob_config import TFJobConfig
from tfrec.deploy.tfjob_submitter import TFJobSubmitter
from tfrec.features import FeatureSpec
from tfrec.models.template import ModelConfig
from tfrec.stages.artifact import Artifact
from tfrec.stages.reporter import Reporter
from tfrec.stages.train import TrainedModel, train
from tfrec.training.cluster import run_cluster
from tfrec.training.config import TrainingConfig
from tfrec.training.existing_cluster import ExistingCluster
from tfrec.training.ports import reserve_port
from tfrec.training.submit import Submitter

pytestmark = pytest.mark.timeout(1800)

TRAINING = {"batch_size": 256, "epochs": 2, "workers": 1, "parameter_servers": 1}


class Heard(Reporter):
    """What training told, and what is done at each of it."""

    def __init__(self, act: Callable[[int], object] = lambda done: None) -> None:
        self.steps: list[int] = []
        self.total, self._act = 0, act

    def progress(self, what: str, done: int, total: int) -> None:
        self.steps.append(done)
        self.total = total
        self._act(done)


@pytest.fixture(scope="module")
def go(shop: Shop, prepared: PreparedData) -> Callable[..., TrainedModel]:
    """Trains the shop's model in a folder."""
    content = shop.config()
    features = validate(FeatureSpec, content["features"])
    model = ModelConfig.model_validate(content["model"])

    def go(
        output: Path, submitter: Submitter, reporter: Reporter | None = None, **training: object
    ) -> TrainedModel:
        config = TrainingConfig.model_validate({**TRAINING, **training})
        data = Artifact(prepared.path)
        return train(config, model, features, data, output, reporter, submitter=submitter)

    return go


@pytest.fixture(scope="module")
def trained_here(
    go: Callable[..., TrainedModel], tmp_path_factory: pytest.TempPathFactory
) -> TrainedModel:
    output = tmp_path_factory.mktemp("here") / "train"
    return go(output, run_cluster, strategy="single", epochs=1)


def shapes(model: TrainedModel) -> list[tuple[int, ...]]:
    weights = tf.saved_model.load(str(model.saved_model)).weights
    assert all(np.isfinite(weight).all() for weight in weights)
    return sorted(tuple(weight.shape) for weight in weights)


def test_a_tfjob_that_loses_a_server_trains_what_processes_train(
    go: Callable[..., TrainedModel],
    trained_here: TrainedModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    volume = {"claim": "data", "path": str(tmp_path.parents[1])}
    content = {"image": "tfrec-trainer:1", "namespace": "shop", "volume": volume}
    content |= {"clean_pods": "None"}
    submitter = TFJobSubmitter(TFJobConfig.model_validate(content), "shop", poll_seconds=0.2)
    with FakeKubernetes(tmp_path).running() as kubernetes:
        monkeypatch.setenv("KUBECONFIG", str(kubernetes.kubeconfig()))

        def lose_a_server(done: int) -> None:
            with kubernetes.lock:
                (pods,) = kubernetes.pods.values()
                (server,) = [pod for pod in pods if pod.kind == "ps"]
                if done > 0 and not server.restarts and server.process:
                    server.process.kill()

        heard = Heard(lose_a_server)
        model = go(tmp_path / "train", submitter, heard, epochs=6)
        (pods,) = kubernetes.pods.values()
        restarts = {pod.kind: pod.restarts for pod in pods}

    assert heard.steps[-1] == heard.total
    assert restarts == {"chief": 1, "worker": 0, "ps": 1}
    assert shapes(model) == shapes(trained_here)
    assert model.manifest.summary["parameters"] == trained_here.manifest.summary["parameters"]


def test_tasks_that_find_a_cluster_train_what_processes_train(
    go: Callable[..., TrainedModel], trained_here: TrainedModel, tmp_path: Path
) -> None:
    kinds = ("chief", "worker", "ps")
    cluster = {kind: [f"127.0.0.1:{reserve_port()}"] for kind in kinds}
    made: dict[str, TrainedModel] = {}

    def do(kind: str) -> None:
        task = {"type": kind, "index": 0}
        submitter = ExistingCluster(json.dumps({"cluster": cluster, "task": task}))
        made[kind] = go(tmp_path / "train", submitter)

    tasks = [threading.Thread(target=do, args=(kind,)) for kind in kinds]
    for task in tasks:
        task.start()
    for task in tasks:
        task.join()

    assert {kind: model.path for kind, model in made.items()} == dict.fromkeys(
        kinds, tmp_path / "train"
    )
    assert shapes(made["chief"]) == shapes(trained_here)
    logs = {log.name for log in (tmp_path / "train" / "logs").iterdir()}
    assert logs == {"chief-0.log", "worker-0.log", "ps-0.log"}
