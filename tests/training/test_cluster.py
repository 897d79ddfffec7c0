import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tfrec.errors import UserError
from tfrec.training import backoff, processes
from tfrec.training.cluster import supervise
from tfrec.training.config import TrainingConfig
from tfrec.training.processes import TaskStatus
from tfrec.training.progress import Progress

LOST = 75
HUNG = 8
"""Seconds of silence; to start a program takes less, also where much else runs."""

PROGRAM = """
import json, os, pathlib, signal, sys, time
folder = pathlib.Path(sys.argv[1])
lone = '{"task": {"type": "chief", "index": 0}}'
task = json.loads(os.environ.get("TF_CONFIG", lone))["task"]
name = f"{task['type']}-{task['index']}"
def say(**content):
    print(json.dumps(content), flush=True)
def tell(step, *worker_steps):
    say(progress=dict(step=step, steps=9, examples_per_second=1.0, loss=None,
                      worker_steps=worker_steps))
def live(until="never"):
    while not (folder / until).exists():
        say()
        time.sleep(0.02)
def die():
    os.kill(os.getpid(), signal.SIGKILL)
start = len([*folder.glob(f"{name}.start-*")])
(folder / f"{name}.start-{start}").touch()
acts = json.loads((folder / "acts.json").read_text()).get(name, ["live()"])
exec(acts[min(start, len(acts) - 1)])
"""
"""Stands in for a training process: does as it is told, another thing at each start."""


class Stage:
    """A folder in which a cluster of such programs plays, and what was seen of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.states: list[str] = []
        self.restarts: dict[str, int] = {}
        self.told: list[Progress] = []

    def play(
        self,
        config: TrainingConfig,
        report: Callable[[Progress], None] | None = None,
        **acts: Sequence[str],
    ) -> None:
        """Runs a cluster; `chief_0=["die()", ...]` says what a task does at each start."""
        named = {name.replace("_", "-"): lines for name, lines in acts.items()}
        (self.folder / "acts.json").write_text(json.dumps(named))
        command = [sys.executable, "-c", PROGRAM, str(self.folder)]
        supervise(config, command, self.folder / "logs", report or self.told.append, self.see)

    def see(self, tasks: Sequence[TaskStatus]) -> None:
        for task in tasks:
            self.restarts[task.name] = task.restarts
            state = f"{task.name} {task.state}"
            if state not in self.states:
                self.states.append(state)

    def starts(self, name: str) -> int:
        return len([*self.folder.glob(f"{name}.start-*")])


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.setattr(backoff, "_FIRST_SECONDS", 0.05)
    return Stage(tmp_path)


def cluster(**values: object) -> TrainingConfig:
    defaults = {"strategy": "parameter_server", "workers": 2, "parameter_servers": 1}
    return TrainingConfig.model_validate({**defaults, "restarts": 2, **values})


def test_progress_is_passed_on_until_the_chief_ends(stage: Stage) -> None:
    stage.play(cluster(), chief_0=["tell(1, 1, 0); tell(9, 5, 4)"])

    assert [progress.step for progress in stage.told] == [1, 9]
    assert tuple(stage.told[1].worker_steps) == (5, 4)
    assert stage.restarts == {"chief-0": 0, "worker-0": 0, "worker-1": 0, "ps-0": 0}


def test_a_worker_that_dies_is_started_again_while_the_others_go_on(stage: Stage) -> None:
    stage.play(cluster(), chief_0=["live('worker-1.start-1')"], worker_1=["die()", "live()"])

    assert "worker-1 was killed by SIGKILL; starts again in 0 s" in stage.states
    assert [stage.starts(name) for name in ("chief-0", "worker-0", "ps-0")] == [1, 1, 1]


def test_a_worker_that_dies_again_and_again_ends_training_by_name(stage: Stage) -> None:
    with pytest.raises(
        UserError,
        match=r"^training: worker-0 exited with status 3; see .*worker-0.log; its last line: "
        r"no good; gave up after 2 restarts in a row .*training.restarts",
    ):
        stage.play(cluster(), worker_0=["print('no good', file=sys.stderr); sys.exit(3)"])

    assert stage.starts("worker-0") == 3


def test_steps_of_a_worker_make_good_for_its_earlier_deaths(stage: Stage) -> None:
    def report(progress: Progress) -> None:
        if progress.step == 2:
            (stage.folder / "seen").touch()

    stage.play(
        cluster(restarts=1),
        report,
        chief_0=[
            "tell(1, 1, 0); live('worker-0.start-1'); tell(2, 2, 0); live('worker-0.start-2')"
        ],
        worker_0=["die()", "live('seen'); die()", "live()"],
    )

    assert stage.starts("worker-0") == 3


def test_a_silent_worker_is_killed_and_started_again(stage: Stage) -> None:
    stage.play(
        cluster(worker_timeout=HUNG),
        chief_0=["live('worker-0.start-1')"],
        worker_0=["time.sleep(1000)", "live()"],
    )

    assert f"worker-0 hung for {HUNG} s and was killed; starts again in 0 s" in stage.states
    assert stage.starts("worker-1") == 1


def test_a_worker_whose_steps_stand_still_is_killed_and_started_again(stage: Stage) -> None:
    chief = (
        "step = 0\n"
        "while not (folder / 'worker-0.start-1').exists():\n"
        "    step += 1; tell(step, 0, step); time.sleep(0.05)"
    )
    stage.play(cluster(worker_timeout=HUNG), chief_0=[chief])

    assert stage.starts("worker-0") == 2
    assert stage.starts("worker-1") == 1


def test_what_waits_for_a_hung_worker_is_not_taken_for_hung_itself(stage: Stage) -> None:
    chief = (
        "tell(2, 1, 1)\n"
        "while not (folder / 'worker-1.start-1').exists():\n"
        "    time.sleep(0.02)\n"
        "time.sleep(1)"
    )
    # The chief falls silent first.
    worker = (
        "end = time.time() + 1\n"
        "while time.time() < end:\n"
        "    say(); time.sleep(0.02)\n"
        "time.sleep(1000)"
    )
    stage.play(cluster(worker_timeout=HUNG), chief_0=[chief], worker_1=[worker, "live()"])

    assert f"worker-1 hung for {HUNG} s and was killed; starts again in 0 s" in stage.states
    assert stage.restarts == {"chief-0": 0, "worker-0": 0, "worker-1": 1, "ps-0": 0}


def test_a_lost_server_starts_everything_again(stage: Stage) -> None:
    stage.play(
        cluster(),
        chief_0=["tell(5, 3, 2); live()", "tell(9, 5, 4)"],
        ps_0=["live('chief-0.start-0'); die()", "live()"],
    )

    assert "ps-0 was killed by SIGKILL; all tasks start again" in stage.states
    assert stage.restarts == {"chief-0": 1, "worker-0": 1, "worker-1": 1, "ps-0": 1}
    assert stage.told[-1].step == 9


def test_a_hung_server_starts_everything_again(stage: Stage) -> None:
    stage.play(
        cluster(worker_timeout=HUNG), chief_0=["live()", ""], ps_0=["time.sleep(1000)", "live()"]
    )

    assert f"ps-0 hung for {HUNG} s and was killed; all tasks start again" in stage.states


def test_a_chief_that_lost_a_task_starts_everything_again(stage: Stage) -> None:
    stage.play(cluster(), chief_0=[f"live('ps-0.start-0'); sys.exit({LOST})", ""])

    assert stage.restarts == {"chief-0": 1, "worker-0": 1, "worker-1": 1, "ps-0": 1}


def test_a_server_that_is_lost_again_and_again_ends_training(stage: Stage) -> None:
    def report(progress: Progress) -> None:
        (stage.folder / "heard").touch()

    with pytest.raises(
        UserError, match=r"ps-0 was killed by SIGKILL; see .* gave up after 2 restarts .*--resume"
    ):
        stage.play(
            cluster(), report, chief_0=["tell(4, 2, 2); live()"], ps_0=["live('heard'); die()"]
        )

    assert stage.starts("ps-0") == 3


def test_steps_beyond_the_last_ones_make_good_for_lost_servers(stage: Stage) -> None:
    chief = "tell(start, start, 0); live()"

    def report(progress: Progress) -> None:
        (stage.folder / f"step-{progress.step}").touch()

    server = [f"live('step-{number}'); die()" for number in range(4)]
    stage.play(cluster(restarts=1), report, chief_0=[chief] * 4 + [""], ps_0=[*server, "live()"])

    assert stage.starts("chief-0") == 5


@pytest.mark.parametrize(("act", "how"), [("die()", "was killed by SIGKILL"), ("1 / 0", "exited")])
def test_a_dead_chief_ends_training_and_says_how_to_go_on(stage: Stage, act: str, how: str) -> None:
    with pytest.raises(UserError, match=rf"training: chief-0 {how}.*tfrec train CONFIG --resume"):
        stage.play(cluster(), chief_0=[act])

    assert stage.starts("chief-0") == 1


def test_a_lone_process_that_dies_ends_training_too(stage: Stage) -> None:
    with pytest.raises(UserError, match=r"chief-0 exited with status 1.*ZeroDivisionError"):
        stage.play(cluster(strategy="single"), chief_0=["1 / 0"])


def test_what_a_task_calls_a_mistake_of_the_user_is_passed_on(stage: Stage) -> None:
    with pytest.raises(UserError, match=r"^lower it$"):
        stage.play(cluster(), chief_0=["say(error='lower it'); sys.exit(2)"])


def test_workers_in_step_start_again_together(stage: Stage) -> None:
    stage.play(
        cluster(strategy="multi_worker_mirrored"),
        worker_0=["live()", "live('worker-1.start-1'); tell(9)"],
        worker_1=["live('worker-0.start-0'); die()", "live()"],
    )

    assert stage.starts("worker-0") == stage.starts("worker-1") == 2
    assert stage.told[-1].step == 9


def test_an_evaluator_is_started_again_unless_it_is_done(stage: Stage) -> None:
    stage.play(
        cluster(strategy="single", evaluator=True),
        chief_0=["live('seen')"],
        evaluator_0=["die()", "(folder / 'seen').touch()"],
    )

    assert stage.starts("evaluator-0") == 2


def test_an_evaluator_may_end_after_training_while_the_others_are_let_go(stage: Stage) -> None:
    stage.play(
        cluster(workers=1, evaluator=True),
        chief_0=["live('ready')"],
        evaluator_0=["live('seen')"],
        ps_0=[
            "signal.signal(15, lambda *_: ((folder / 'seen').touch(), os._exit(0)));"
            "(folder / 'ready').touch(); live()"
        ],
    )

    assert "evaluator-0 done" in stage.states
    assert "chief-0 done" in stage.states


def test_tasks_stop_in_order(stage: Stage) -> None:
    note = (
        "def note(*_):\n"
        "    with (folder / 'stopped').open('a') as file: file.write(name + ' ')\n"
        "    os._exit(0)\n"
        "signal.signal(signal.SIGTERM, note)\n"
        "(folder / f'{name}.ready').touch()\n"
        "live()"
    )
    ready = "; ".join(f"live('{name}-0.ready')" for name in ("worker", "ps", "evaluator"))
    with pytest.raises(UserError, match=r"^enough$"):
        stage.play(
            cluster(workers=1, evaluator=True),
            chief_0=[f"{ready}; say(error='enough'); live()"],
            worker_0=[note], ps_0=[note], evaluator_0=[note],
        )  # fmt: skip

    stopped = (stage.folder / "stopped").read_text().split()
    assert stopped == ["worker-0", "ps-0", "evaluator-0"]


def test_what_a_task_prints_is_in_its_log(stage: Stage) -> None:
    stage.play(cluster(), chief_0=["print('{this is no message'); print('hello'); sys.exit(0)"])

    assert (stage.folder / "logs" / "chief-0.log").read_text() == "{this is no message\nhello\n"


def test_a_run_takes_no_longer_than_its_tasks(stage: Stage) -> None:
    stage.play(cluster(strategy="single"), chief_0=["tell(9); (folder / 'end').touch()"])

    # Less than it waits for those that do not end by themselves.
    assert time.time() - (stage.folder / "end").stat().st_mtime < processes._STOP_SECONDS
