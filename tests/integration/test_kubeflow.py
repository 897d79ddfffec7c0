"""The compiled pipeline, run as open-source Kubeflow Pipelines would, to a model that answers."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import pytest
from kubeflow_backend import Backend, ForkingLauncher, TaskRun, start_process, summary
from shop import make_shop

from tfrec.pipelines.kubeflow.compiled import Compiled
from tfrec.pipelines.kubeflow.experiment import compile_experiment
from tfrec.serving import Client, ModelServer
from tfrec.stages.artifact import Artifact
from tfrec.stages.experiment import Experiment
from tfrec.stages.recommender import Recommender

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(scope="module")
def mounted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The claim that every pod mounts, with the shop's files on it."""
    return tmp_path_factory.mktemp("claim")


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Backend:
    return Backend(tmp_path_factory.mktemp("kubeflow"), {"keys": {"id": "open-sesame"}})


@pytest.fixture(scope="module")
def compiled(mounted: Path) -> Compiled:
    path = make_shop(mounted).write_config(training={"epochs": 1})
    settings = {
        "serving.root": str(mounted / "serving"),
        "pipeline": f"""{{kubeflow: {{
            image: "registry.shop/tfrec:1",
            root: "s3://shop/runs",
            volume: {{claim: shop, path: {mounted}, artifacts: false}},
            secrets: [{{name: keys, env: {{AWS_ACCESS_KEY_ID: id}}}}]}}}}""",
    }
    made = compile_experiment(Experiment.load(path, overrides=settings).config)
    made.write(mounted / "pipeline.yaml")
    return Compiled.read(mounted / "pipeline.yaml")


@pytest.fixture(scope="module")
def runs(compiled: Compiled, backend: Backend) -> list[TaskRun]:
    with ForkingLauncher() as fork:

        def launch(command: Sequence[str], env: Mapping[str, str], log: Path) -> int:
            # The first as a process of its own, as in a pod; the others need not import anew.
            return (fork if any(log.parent.iterdir()) else start_process)(command, env, log)

        made = backend.run(compiled, launch)
    print(summary(made))
    return made


def test_all_tasks_end_and_the_last_has_pushed_a_version(
    runs: list[TaskRun], compiled: Compiled, mounted: Path
) -> None:
    assert {run.task for run in runs} == {*compiled.tasks}
    (version,) = (mounted / "serving" / "shop").iterdir()
    pushed = runs[-1].outputs["pushed_model"].metadata["pushed_destination"]
    assert Path(pushed) == version


def test_the_pushed_model_answers(runs: list[TaskRun], backend: Backend, mounted: Path) -> None:
    outputs = {run.task: run.outputs for run in runs}
    prepared = Artifact(backend.stored(outputs["ExampleWriter"]["prepared"].uri))
    with (
        ModelServer({"shop": mounted / "serving" / "shop"}, port=0) as server,
        Client(f"grpc://127.0.0.1:{server.port}") as client,
    ):
        recommender = Recommender.connect(client, "shop", prepared)
        items = recommender.recommend(k=5, moment=datetime(2020, 9, 12), shopper="user-3")
    assert len({item.id for item in items}) == 5


def test_artefacts_lie_in_the_object_store_of_the_config(
    runs: list[TaskRun], backend: Backend
) -> None:
    uris = [artifact.uri for run in runs for artifact in run.outputs.values()]
    assert all(uri.startswith("s3://shop/runs/shop/run-1/") for uri in uris)
    model = next(run.outputs["model"] for run in runs if run.task == "Trainer")
    assert (backend.stored(model.uri) / "manifest.json").exists()


def test_pods_have_the_secrets_that_the_config_names(compiled: Compiled, backend: Backend) -> None:
    env = backend.environment(compiled, "Trainer")
    assert env["AWS_ACCESS_KEY_ID"] == "open-sesame"
