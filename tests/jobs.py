"""Training jobs on a small shop's prepared data, and what becomes of their processes."""

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from shop import Shop

from tfrec.data.prepared import PreparedData
from tfrec.training.cluster import run_cluster
from tfrec.training.epoch_log import Epoch, read_epochs
from tfrec.training.job import TrainingJob
from tfrec.training.processes import TaskStatus
from tfrec.training.progress import Progress

DEADLINE_SECONDS = 600


def write_job(shop: Shop, prepared: PreparedData, folder: Path, **training: object) -> TrainingJob:
    """Writes a job of one worker and one server, or what `training` says, to its folder."""
    cluster = {"strategy": "parameter_server", "workers": 1, "parameter_servers": 1}
    config = shop.config(training={**cluster, **training})
    job = TrainingJob(
        features=config["features"],
        model=config["model"],
        training=config["training"],
        prepared=prepared.path,
        output=folder,
    )
    folder.mkdir(parents=True, exist_ok=True)
    job_file(job).write_text(job.model_dump_json())
    return job


def job_file(job: TrainingJob) -> Path:
    return job.output / "job.json"


def wait_until(holds: Callable[[], object], what: str) -> None:
    """Looks again and again until something holds."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"{what}: not after {DEADLINE_SECONDS} s"
        time.sleep(0.1)


def find_task(name: str, parent: psutil.Process) -> psutil.Process:
    """Waits for a task of a cluster that a process started."""
    kind, index = name.split("-")
    found: list[psutil.Process] = []

    def look() -> list[psutil.Process]:
        for child in parent.children(recursive=True):
            with contextlib.suppress(psutil.Error):  # it may have ended meanwhile
                task = json.loads(child.environ().get("TF_CONFIG", "{}")).get("task")
                if task == {"type": kind, "index": int(index)}:
                    found.append(child)
        return found

    wait_until(look, f"{name} runs")
    return found[0]


@dataclass
class Watched:
    """A run of a cluster, and what was told of it.

    Attributes:
      when: is asked at each progress; what it does may send signals.
    """

    job: TrainingJob
    when: Callable[["Watched", Progress], None] = lambda run, progress: None
    told: list[Progress] = field(default_factory=list)
    states: list[str] = field(default_factory=list)
    tasks: dict[str, TaskStatus] = field(default_factory=dict)

    def go(self, logs: Path | None = None) -> list[Epoch]:
        """Trains; returns the epochs of the log."""
        logs = logs or self.job.output / "logs"
        run_cluster(self.job.training, job_file(self.job), logs, self._hear, self._see)
        return read_epochs(self.job.log)

    def send(self, signal_number: signal.Signals, task: str) -> None:
        pid = self.tasks[task].pid
        assert pid is not None
        os.kill(pid, signal_number)

    def _hear(self, progress: Progress) -> None:
        self.told.append(progress)
        self.when(self, progress)

    def _see(self, tasks: Sequence[TaskStatus]) -> None:
        for task in tasks:
            before = self.tasks.get(task.name)
            if before is None or (before.state, before.restarts) != (task.state, task.restarts):
                self.states.append(f"{task.name} {task.state}")
            self.tasks[task.name] = task


def once(step: int, act: Callable[[Watched], None]) -> Callable[[Watched, Progress], None]:
    """Acts at the first progress from a step on."""
    done: list[int] = []

    def when(run: Watched, progress: Progress) -> None:
        if progress.step >= step and not done:
            done.append(progress.step)
            act(run)

    return when
