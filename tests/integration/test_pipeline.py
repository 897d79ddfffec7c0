"""The project in `examples/pipeline`, run whole: refused at first, pushed in the end."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from films import make_films
from jobs import wait_until
from records import read_example_files

from tfrec.cli import overrides
from tfrec.cli.main import cli
from tfrec.errors import UserError
from tfrec.pipelines.blessings import NotBlessedError
from tfrec.stages.artifact import Artifact
from tfrec.stages.experiment import Experiment
from tfrec.stages.recommender import Recommender
from tfrec.stages.served_figures import newest_figures
from tfrec.training.ports import reserve_port

IMPOSSIBLE = "[{metric: recall@10, over: 1.5}]"

pytestmark = pytest.mark.timeout(1800)


def run(small: list[str], *changes: str) -> Result:
    return CliRunner().invoke(cli, ["pipeline", "run", "films.yaml", *small, *changes])


@dataclass(frozen=True)
class Films:
    """The project's folder, in which tests are run, and its runs of the pipeline."""

    folder: Path
    small: list[str]
    refused: Result
    pushed: Result

    def artifact(self, component: str, output: str) -> Artifact:
        """What a component made last."""
        made = (self.folder / "pipeline" / "films" / component / output).glob("[0-9]*")
        return Artifact(max(made, key=lambda path: int(path.name)))


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Films]:
    folder, before = tmp_path_factory.mktemp("films"), Path.cwd()
    small = make_films(folder)
    os.chdir(folder)
    try:
        refused = run(small, "--evaluation.bless", IMPOSSIBLE)
        yield Films(folder, small, refused, run(small))
    finally:
        os.chdir(before)


def states(result: Result) -> dict[str, str]:
    """What the closing table says of each component."""
    rows = (line.split("│") for line in result.output.splitlines() if line.startswith("│"))
    return {row[1].strip(): row[3].strip() for row in rows}


def test_a_model_that_is_not_blessed_is_not_pushed(films: Films) -> None:
    assert isinstance(films.refused.exception, NotBlessedError)
    said = str(films.refused.exception)
    assert said.startswith("Pusher: the model is not blessed and nothing is pushed: ModelEvaluator")
    assert "recall@10 of all above 1.5: broken" in said
    assert "\n" not in said
    versions = (films.folder / "serving" / "films").iterdir()
    assert len(list(versions)) == 1, "the second run's"


def test_a_run_goes_on_behind_what_an_earlier_one_has_done(films: Films) -> None:
    assert films.pushed.exit_code == 0, films.pushed.output
    made = states(films.pushed)

    assert {name for name, state in made.items() if not state} == {
        *("ModelEvaluator", "Evaluator", "LastBlessed", "Pusher", "all")
    }
    assert made["Trainer"] == made["Transform"] == "from cache"


def test_a_rerun_takes_all_from_the_cache(films: Films) -> None:
    again = states(run(films.small))

    assert {name for name, state in again.items() if not state} == {"LastBlessed", "all"}


def test_a_mistake_is_named_with_its_component(films: Films) -> None:
    failed = run(films.small, "--data.split", "{kind: time, validation: 30d, test: 30d}")

    assert isinstance(failed.exception, UserError)
    assert str(failed.exception).startswith("EventsExampleGen: data.split: validation and test")


def test_the_pushed_version_is_the_bundle_and_answers(films: Films) -> None:
    bundle = films.artifact("BundleExporter", "bundle")

    answer = Recommender.load(bundle.path).recommend(k=3, user_id="person-1")

    (pushed,) = (films.folder / "serving" / "films").iterdir()
    assert len(answer) == 3
    assert pushed.name == str(bundle.manifest.summary["version"])
    assert newest_figures(pushed.parent)["all"]["recall@10"] > 0.02


def test_the_version_leads_back_to_the_files(films: Films) -> None:
    told = CliRunner().invoke(cli, ["pipeline", "lineage", "--json", "films.yaml", *films.small])

    assert told.exit_code == 0, told.output
    found = json.loads(told.output)
    (pushed,) = (films.folder / "serving" / "films").iterdir()
    sources = [source for made in found["made"].values() for source in made["sources"]]
    assert found["version"] == pushed.name
    assert {one["name"]: (one["where"], one["rows"]) for one in sources} == {
        name: ([file], pq.read_metadata(file).num_rows)
        for name, file in (("events", "ratings.parquet"), ("items", "items.parquet"))
    }


def test_it_makes_the_model_that_running_the_stages_makes(films: Films) -> None:
    experiment = Experiment.load("films.yaml", overrides=overrides.parse(films.small))
    for stage in (experiment.prepare, experiment.train, experiment.index, experiment.evaluate):
        stage()

    ours = films.artifact("ExampleWriter", "prepared").path
    for kind in ("examples/train", "examples/validation", "examples/test", "items"):
        mine, theirs = (
            read_example_files(path / kind) for path in (ours, experiment.prepared.path)
        )
        assert mine == theirs
    assert "1950s" in (ours / "transform" / "transform_fn" / "assets" / "decade").read_text()
    trained = films.artifact("Trainer", "model").manifest.summary
    assert trained["validation_loss"] == pytest.approx(
        experiment.trained.manifest.summary["validation_loss"], rel=1e-3
    )
    measured = films.artifact("ModelEvaluator", "evaluation").manifest.summary["metrics"]
    for ranker, metrics in experiment.evaluation.manifest.summary["metrics"].items():
        assert measured[ranker]["all"] == pytest.approx(metrics["all"], abs=1e-3)


class Helpers:
    """The tasks of a cluster that join the pipeline, each a command of its own."""

    def __init__(self, films: Films, *changes: str) -> None:
        kinds = ("chief", "worker", "ps")
        self._cluster = {kind: [f"127.0.0.1:{reserve_port()}"] for kind in kinds}
        join = ("-m", "tfrec.cli.main", "pipeline", "join", "films.yaml")
        self._command = [sys.executable, *join, *films.small, *changes]
        self.started: list[subprocess.Popen[str]] = []

    def place(self, kind: str) -> str:
        return json.dumps({"cluster": self._cluster, "task": {"type": kind, "index": 0}})

    def start(self, kind: str) -> subprocess.Popen[str]:
        environment, pipe = {**os.environ, "TF_CONFIG": self.place(kind)}, subprocess.PIPE
        command = subprocess.Popen(
            self._command, env=environment, stdout=pipe, stderr=subprocess.STDOUT, text=True
        )
        self.started.append(command)
        return command


def test_tasks_that_join_train_its_model_though_a_server_is_lost(
    films: Films, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = "{strategy: parameter_server, workers: 1, parameter_servers: 1"
    changes = ["--pipeline.training_on", "tf_config"]
    changes += ["--training", f"{cluster}, batch_size: 256, epochs: 8}}"]
    helpers = Helpers(films, *changes)
    monkeypatch.setenv("TF_CONFIG", helpers.place("chief"))
    worker, lost = helpers.start("worker"), helpers.start("ps")

    def lose_the_server() -> subprocess.Popen[str]:
        models = films.folder / "pipeline" / "films" / "Trainer" / "model"
        wait_until(lambda: [*models.glob(".unfin*/training_log.jsonl")], "an epoch is done")
        lost.kill()
        return helpers.start("ps")

    try:
        with ThreadPoolExecutor(1) as threads:
            replaced = threads.submit(lose_the_server)
            done = run(films.small, *changes)
        said = {one: one.communicate(timeout=300)[0] for one in (worker, replaced.result())}
    finally:
        for one in helpers.started:
            one.kill()

    assert done.exit_code == 0, done.output
    assert states(done)["ExampleWriter"] == "from cache"
    trained = films.artifact("Trainer", "model")
    assert [epoch["epoch"] for epoch in trained.manifest.summary["epochs"]] == [*range(1, 9)]
    assert {log.name for log in (trained.path / "logs").iterdir()} == {
        *("chief-0.log", "worker-0.log", "ps-0.log")
    }
    assert newest_figures(films.folder / "serving" / "films")["all"]["recall@10"] > 0.02
    for one, text in said.items():
        assert one.returncode == 0, text
        assert text.splitlines()[-1] == f"join: {trained.path}"
