"""Tasks that join a pipeline; its leader, and what they do in training, are a few lines."""

import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tfrec.errors import UserError
from tfrec.pipelines.joining import UNFINISHED, join, joinable
from tfrec.stages.artifact import produce
from tfrec.stages.reporter import Reporter
from tfrec.training import existing_cluster, heartbeat
from tfrec.training.config import TrainingConfig
from tfrec.training.existing_cluster import ExistingCluster, LeaderLostError
from tfrec.training.job import TrainingJob

PROGRAM = """
import pathlib, sys
folder = pathlib.Path(sys.argv[1]).parent
(folder / f"start-{len([*folder.glob('start-*')])}").touch()
sys.stdin.read()
"""
CLUSTER = {"chief": ["127.0.0.1:9"], "worker": ["b:2222"], "ps": ["c:2222"]}
CONFIG = TrainingConfig(workers=1, parameter_servers=1, restarts=1, worker_timeout=3)
PATIENT = CONFIG.model_copy(update={"worker_timeout": 60})
PATIENCE_SECONDS = 90
POLL_SECONDS = 0.02


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "_BEAT_SECONDS", 0.02)
    monkeypatch.setattr(
        existing_cluster, "task_command", lambda job: [sys.executable, "-c", PROGRAM, str(job)]
    )


def task(kind: str) -> ExistingCluster:
    place = {"type": kind, "index": 0}
    return ExistingCluster(json.dumps({"cluster": CLUSTER, "task": place}), POLL_SECONDS)


class EnoughError(Exception):
    """Ends a task that would stay for ever."""


class Heard(Reporter):
    """What a task tells; it has enough after some runs."""

    def __init__(self, runs: int = 99) -> None:
        self.steps: list[str] = []
        self.warnings: list[str] = []
        self._runs = runs

    def stage(self, name: str) -> None:
        self._runs -= 1
        if self._runs < 0:
            raise EnoughError

    def step(self, what: str) -> None:
        self.steps.append(what)

    def warn(self, what: str) -> None:
        self.warnings.append(what)


class Place:
    """A pipeline's directory, and what its leader does there."""

    def __init__(self, root: Path) -> None:
        self.root, self.prepared = root, root / "ExampleWriter" / "prepared" / "3"
        self.prepared.mkdir(parents=True)

    def train(self, number: int, during: Callable[[Path], object], seed: int = 0) -> Path:
        """Trains as the Trainer's execution of that number does."""

        def make(folder: Path) -> dict[str, Any]:
            with task("chief").leading(folder):
                self.write_job(folder)
                during(folder)
            return {}

        beside = self.root / "Trainer" / "model"
        identity = ("train", {"seed": seed}, {}, beside / str(number), make, True)
        return produce(*identity, work=beside / UNFINISHED).path

    def write_job(self, folder: Path) -> None:
        job = TrainingJob.model_validate(
            {
                "features": {
                    "user": {"role": "user", "kind": "categorical", "embedding": 4},
                    "sku": {"role": "item", "kind": "categorical", "embedding": 4},
                },
                "model": {},
                "training": PATIENT,
                "prepared": self.prepared,
                "output": folder,
            }
        )
        whole = folder / "job.whole"
        whole.write_text(job.model_dump_json())
        whole.replace(folder / "job.json")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "pipeline" / "shop")


Joined = Callable[..., "Future[Path | None]"]


@pytest.fixture
def joined(place: Place) -> Iterator[Joined]:
    """Starts a server's task that joins."""
    with ThreadPoolExecutor(1) as threads:

        def start(
            heard: Heard, config: TrainingConfig = PATIENT, keep: bool = False
        ) -> "Future[Path | None]":
            server = task("ps")
            return threads.submit(join, server, place.root, config, keep, heard, POLL_SECONDS)

        yield start


def wait_until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def starts(folder: Path) -> int:
    return len([*folder.glob("start-*")])


def break_off_when_heard(place: Place, heard: Heard) -> None:
    """A run that fails before it trains."""
    with suppress(RuntimeError), joinable(place.root):
        wait_until(lambda: "waiting for its training" in heard.steps)
        raise RuntimeError


def test_a_task_helps_the_training_of_a_run(place: Place, joined: Joined) -> None:
    heard = Heard()
    helping = joined(heard)
    wait_until(lambda: heard.steps)

    with joinable(place.root):
        wait_until(lambda: "waiting for its training" in heard.steps)
        model = place.train(7, lambda folder: wait_until(lambda: starts(folder)))
        made = helping.result(timeout=PATIENCE_SECONDS)

    assert made == model == place.root / "Trainer" / "model" / "7"
    assert heard.steps[0] == f"waiting for a pipeline's run in {place.root}"
    assert starts(model) == 1


def test_a_run_that_trains_nothing_lets_it_go(place: Place, joined: Joined) -> None:
    heard = Heard()
    helping = joined(heard)

    with joinable(place.root):
        wait_until(lambda: "waiting for its training" in heard.steps)

    assert helping.result(timeout=PATIENCE_SECONDS) is None


def test_a_run_that_never_begins_is_not_waited_for_for_ever(joined: Joined) -> None:
    with pytest.raises(LeaderLostError, match=r"the leader, 127.0.0.1:9, gives no sign of life"):
        joined(Heard(), CONFIG).result(timeout=PATIENCE_SECONDS)


def test_a_run_that_breaks_off_and_does_not_come_again_is_told(
    place: Place, joined: Joined
) -> None:
    heard = Heard()
    helping = joined(heard, CONFIG)

    break_off_when_heard(place, heard)

    with pytest.raises(LeaderLostError, match=r"in .*pipeline/shop for 3 s \(training.worker_time"):
        helping.result(timeout=PATIENCE_SECONDS)


def test_a_training_whose_leader_was_killed_is_not_taken_for_one(
    place: Place, joined: Joined
) -> None:
    left = place.root / "Trainer" / "model" / f".{UNFINISHED}-0123456789ab"
    left.mkdir(parents=True)
    place.write_job(left)
    (left / "heartbeat").write_text("the last one")
    heard = Heard()
    helping = joined(heard)

    with joinable(place.root):
        wait_until(lambda: "waiting for its training" in heard.steps)

    assert helping.result(timeout=PATIENCE_SECONDS) is None
    assert starts(left) == 0


def test_a_leader_that_comes_again_is_helped_on(place: Place, joined: Joined) -> None:
    helping = joined(Heard())

    def break_off(folder: Path) -> None:
        wait_until(lambda: starts(folder))
        raise RuntimeError

    with pytest.raises(RuntimeError), joinable(place.root):
        place.train(7, break_off)
    with joinable(place.root):
        model = place.train(8, lambda folder: None)

    assert helping.result(timeout=PATIENCE_SECONDS) == model
    assert starts(model) == 1


def test_a_training_that_was_given_up_for_another_is_left(place: Place, joined: Joined) -> None:
    helping = joined(Heard())

    def break_off(folder: Path) -> None:
        wait_until(lambda: starts(folder))
        raise RuntimeError

    with joinable(place.root):
        with pytest.raises(RuntimeError):
            place.train(7, break_off)
        other = place.train(8, lambda folder: wait_until(lambda: starts(folder)), seed=1)

        assert helping.result(timeout=PATIENCE_SECONDS) == other


def test_one_that_stays_helps_run_after_run(place: Place, joined: Joined) -> None:
    heard = Heard(runs=3)
    helping = joined(heard, keep=True)

    def run(act: Callable[[], object]) -> None:
        told = heard.steps.count("waiting for its training")
        with joinable(place.root):
            wait_until(lambda: heard.steps.count("waiting for its training") > told)
            act()
        wait_until(lambda: heard.steps[-1].startswith("waiting for a pipeline") or helping.done())

    def train(number: int) -> None:
        place.train(number, lambda folder: wait_until(lambda: starts(folder)), seed=number)

    run(lambda: train(7))
    run(lambda: None)
    run(lambda: train(9))

    with pytest.raises(EnoughError):
        helping.result(timeout=PATIENCE_SECONDS)
    assert [*map(starts, sorted(place.root.glob("Trainer/model/[0-9]")))] == [1, 1]
    assert heard.warnings == []


def test_one_that_stays_tells_of_a_leader_that_it_lost(place: Place, joined: Joined) -> None:
    heard = Heard(runs=1)
    helping = joined(heard, CONFIG, keep=True)

    break_off_when_heard(place, heard)

    with pytest.raises(EnoughError):
        helping.result(timeout=PATIENCE_SECONDS)
    (warning,) = heard.warnings
    assert "gives no sign of life" in warning


def test_one_that_does_not_see_the_data_says_so(place: Place, joined: Joined) -> None:
    helping = joined(Heard())
    shutil.rmtree(place.prepared)

    place.train(7, lambda folder: wait_until(helping.done))

    with pytest.raises(UserError, match=r"prepared/3: the prepared data that .*job.json names are"):
        helping.result(timeout=PATIENCE_SECONDS)


def test_the_leader_runs_the_pipeline(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^TF_CONFIG: chief-0 leads its cluster; it runs the pipe"):
        join(task("chief"), tmp_path, CONFIG)


def test_a_cluster_of_another_size_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^TF_CONFIG: its cluster has 1 chief, 1 worker, 1 ps"):
        join(task("ps"), tmp_path, TrainingConfig(workers=2, parameter_servers=1))
