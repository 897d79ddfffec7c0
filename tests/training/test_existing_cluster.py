"""Tasks of a cluster that others started; what trains in them is a few lines."""

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tfrec.errors import UserError
from tfrec.training import backoff, existing_cluster, heartbeat
from tfrec.training.config import TrainingConfig
from tfrec.training.existing_cluster import ExistingCluster
from tfrec.training.progress import Progress

PROGRAM = """
import json, os, pathlib, sys, time
folder = pathlib.Path(sys.argv[1]).parent
task = json.loads(os.environ["TF_CONFIG"])["task"]
name = f"{task['type']}-{task['index']}"
start = len([*folder.glob(f"{name}.start-*")])
(folder / f"{name}.start-{start}").touch()
def tell(step, *worker_steps):
    print(json.dumps(dict(progress=dict(step=step, steps=9, examples_per_second=1.0, loss=None,
                                        worker_steps=worker_steps))), flush=True)
def live():
    while True:
        print("{}", flush=True)
        time.sleep(0.02)
acts = json.loads((folder / "job.json").read_text())[name]
exec(acts[min(start, len(acts) - 1)])
"""
LOST = 75
CLUSTER = {"chief": ["127.0.0.1:9"], "worker": ["b:2222"], "ps": ["c:2222"]}
CONFIG = TrainingConfig(workers=1, parameter_servers=1, restarts=1, worker_timeout=60)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "_FIRST_SECONDS", 0.05)
    monkeypatch.setattr(heartbeat, "_BEAT_SECONDS", 0.02)
    monkeypatch.setattr(
        existing_cluster, "task_command", lambda job: [sys.executable, "-c", PROGRAM, str(job)]
    )


def within(seconds: float) -> TrainingConfig:
    return CONFIG.model_copy(update={"worker_timeout": seconds})


def cluster_of(kind: str, index: int = 0, **addresses: list[str]) -> ExistingCluster:
    task = {"type": kind, "index": index}
    text = json.dumps({"cluster": {**CLUSTER, **addresses}, "task": task})
    return ExistingCluster(text, poll_seconds=0.02)


def write_job(folder: Path, **acts: list[str]) -> Path:
    whole = folder / "job.whole"
    whole.write_text(json.dumps({name.replace("_", "-"): lines for name, lines in acts.items()}))
    return whole.replace(folder / "job.json")


@pytest.fixture
def leading(tmp_path: Path) -> Iterator[None]:
    """A leader that is there."""
    with cluster_of("chief").leading(tmp_path):
        yield


def starts(folder: Path, name: str) -> int:
    return len([*folder.glob(f"{name}.start-*")])


@pytest.mark.parametrize(
    ("kind", "index", "leads"),
    [("chief", 0, True), ("worker", 0, False), ("ps", 0, False), ("evaluator", 0, False)],
)
def test_the_chief_leads(kind: str, index: int, leads: bool) -> None:
    task = cluster_of(kind, index)

    assert task.leads is leads
    assert task.name == f"{kind}-{index}"


def test_without_a_chief_the_first_worker_leads() -> None:
    two = {"cluster": {"worker": ["a:1", "b:1"]}}
    leads = [
        ExistingCluster(json.dumps({**two, "task": {"type": "worker", "index": index}})).leads
        for index in (0, 1)
    ]

    assert leads == [True, False]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "TF_CONFIG: not set; start every task"),
        ("{", r"TF_CONFIG: '\{': not understood"),
        ('{"cluster": {}}', "not understood"),
        ("[]", "not understood"),
        ('{"cluster": {"ps": ["a:1"]}, "task": {"type": "ps", "index": 1}}', "its task ps-1 is"),
    ],
)
def test_a_task_that_is_not_told_what_it_is_says_so(text: str | None, message: str) -> None:
    with pytest.raises(UserError, match=message):
        ExistingCluster(text)


def test_a_cluster_of_another_size_is_refused() -> None:
    task = cluster_of("chief", ps=["c:2222", "d:2222"])

    with pytest.raises(
        UserError,
        match=r"its cluster has 1 chief, 1 worker, 2 ps, while training.strategy parameter_server "
        "takes 1 chief, 1 worker, 1 ps",
    ):
        task.check(CONFIG)


def test_a_cluster_of_the_right_size_is_taken() -> None:
    cluster_of("evaluator").check(TrainingConfig(workers=1, parameter_servers=1, evaluator=True))


def test_the_leader_trains_and_tells(tmp_path: Path) -> None:
    told: list[Progress] = []
    job = write_job(tmp_path, chief_0=["tell(4, 4); tell(9, 9)"])

    cluster_of("chief")(CONFIG, job, tmp_path / "logs", told.append)

    assert [progress.step for progress in told] == [4, 9]


def test_the_leader_is_started_again_when_it_has_lost_the_others(tmp_path: Path) -> None:
    job = write_job(tmp_path, chief_0=[f"tell(4, 4); sys.exit({LOST})", "tell(9, 9)"])

    cluster_of("chief")(CONFIG, job, tmp_path / "logs", lambda progress: None)

    assert starts(tmp_path, "chief-0") == 2


@pytest.mark.usefixtures("leading")
def test_a_task_helps_from_when_there_is_a_job_until_training_has_ended(tmp_path: Path) -> None:
    task, ended = cluster_of("worker"), threading.Event()
    job, logs = tmp_path / "job.json", tmp_path / "logs"
    helping = threading.Thread(target=task.help, args=(CONFIG, job, logs, ended.is_set))
    helping.start()
    assert starts(tmp_path, "worker-0") == 0

    write_job(tmp_path, worker_0=["print('hello', flush=True); live()"])
    wait_until(lambda: "hello" in (logs / "worker-0.log").read_text())
    ended.set()
    helping.join(timeout=60)

    assert not helping.is_alive()


def test_a_task_that_comes_when_training_has_ended_has_nothing_to_do(tmp_path: Path) -> None:
    cluster_of("worker").help(CONFIG, tmp_path / "job.json", tmp_path / "logs", lambda: True)

    assert not (tmp_path / "logs").exists()


@pytest.mark.usefixtures("leading")
def test_a_helping_task_that_dies_is_started_again(tmp_path: Path) -> None:
    job = write_job(tmp_path, ps_0=["sys.exit(3)", "live()"])
    states = []

    cluster_of("ps").help(
        CONFIG, job, tmp_path / "logs", lambda: starts(tmp_path, "ps-0") == 2, states.extend
    )

    assert "exited with status 3; starts again in 0 s" in [status.state for status in states]


@pytest.mark.usefixtures("leading")
def test_a_helping_task_that_dies_again_and_again_ends_with_its_log(tmp_path: Path) -> None:
    job = write_job(tmp_path, ps_0=["sys.exit('no good')"])

    with pytest.raises(UserError, match=r"ps-0 exited with status 1; see .*ps-0.log.*: no good$"):
        cluster_of("ps").help(CONFIG, job, tmp_path / "logs", lambda: False)

    assert starts(tmp_path, "ps-0") == 2


@pytest.mark.parametrize("has_written_the_job", [True, False])
def test_a_leader_that_stays_away_is_not_waited_for_for_ever(
    tmp_path: Path, has_written_the_job: bool
) -> None:
    (tmp_path / "heartbeat").write_text("the last one of a leader that was killed")
    if has_written_the_job:
        write_job(tmp_path, worker_0=["live()"])

    with pytest.raises(UserError, match=r"the leader, 127.0.0.1:9, gives no sign of life"):
        cluster_of("worker").help(
            within(1), tmp_path / "job.json", tmp_path / "logs", lambda: False
        )


@pytest.mark.usefixtures("leading")
def test_a_leader_that_is_at_work_is_waited_for_though_it_does_not_train(tmp_path: Path) -> None:
    job = write_job(tmp_path, worker_0=["live()"])
    patience = time.monotonic() + 6

    cluster_of("worker").help(
        within(5), job, tmp_path / "logs",
        lambda: time.monotonic() > patience and starts(tmp_path, "worker-0") > 0,
    )  # fmt: skip

    assert starts(tmp_path, "worker-0") == 1


def test_no_sign_of_a_leader_is_left_when_it_is_done(tmp_path: Path) -> None:
    with cluster_of("chief").leading(tmp_path):
        wait_until(lambda: (tmp_path / "heartbeat").read_text() != "")

    assert [*tmp_path.iterdir()] == []


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while True:
        with suppress(OSError):
            if holds():
                return
        assert time.monotonic() < deadline
        time.sleep(0.01)
