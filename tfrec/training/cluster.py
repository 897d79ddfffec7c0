"""A training cluster of processes on this machine, kept going until training ends."""

import queue
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tfrec.errors import UserError
from tfrec.training.backoff import Backoff
from tfrec.training.config import TrainingConfig
from tfrec.training.failures import ClusterLostError
from tfrec.training.ports import reserve_port
from tfrec.training.processes import SUPERVISED, Message, TaskProcess, TaskStatus, stop
from tfrec.training.progress import Progress
from tfrec.training.supervisor import Supervisor, given_up


def run_cluster(
    config: TrainingConfig,
    job: Path,
    logs: Path,
    report: Callable[[Progress], None],
    show: Callable[[Sequence[TaskStatus]], None] = lambda tasks: None,
) -> None:
    """Trains a job in processes of its own: a chief, and for a cluster the rest.

    The processes listen on free loopback ports, log to a file each, and end with this process.
    A worker that dies or hangs is started again while the others go on. Where a parameter server
    is lost, or a worker of `multi_worker_mirrored`, all are started again and go on behind the
    last checkpoint.

    Args:
      config: the `training` section.
      job: a `TrainingJob` as JSON.
      logs: directory for the log files.
      report: called as training goes on.
      show: called with all tasks when one changes, and about once a second.

    Raises:
      UserError: if the chief dies, or anything else more often in a row without progress than
        `training.restarts` says; it names the task and its log.
    """
    supervise(config, task_command(job), logs, report, show)


def task_command(job: Path) -> list[str]:
    """The program of a task that ends with whoever started it, and its arguments."""
    return [sys.executable, "-m", "tfrec.training.task", str(job), SUPERVISED]


def task_counts(config: TrainingConfig) -> dict[str, int]:
    """Kind of task -> how many of them a training takes, the leader's kind first."""
    counts = {"chief": 1}
    if config.strategy == "parameter_server":
        counts = {"chief": 1, "worker": config.workers, "ps": config.parameter_servers}
    elif config.strategy == "multi_worker_mirrored":
        counts = {"worker": config.workers}
    return counts | ({"evaluator": 1} if config.evaluator else {})


def supervise(
    config: TrainingConfig,
    command: Sequence[str],
    logs: Path,
    report: Callable[[Progress], None],
    show: Callable[[Sequence[TaskStatus]], None],
    tasks_here: Mapping[str, Mapping[str, Any] | None] | None = None,
) -> None:
    """Does what `run_cluster` does, with any program that speaks as `tfrec.training.task` does.

    Args:
      config: the `training` section.
      command: the program and its arguments.
      logs: directory for the log files.
      report: called as training goes on.
      show: called with all tasks when one changes, and about once a second.
      tasks_here: name -> `TF_CONFIG` of those tasks that are this machine's, the leader first; all
        tasks, on ports of this machine, by default.
    """
    logs.mkdir(parents=True, exist_ok=True)
    backoff, furthest, restarts = Backoff(config.restarts), -1, 0
    while True:
        messages: queue.Queue[Message] = queue.Queue()
        tasks = [
            TaskProcess(name, command, tf_config, logs / f"{name}.log", messages, restarts)
            for name, tf_config in (tasks_here or _roles(config)).items()
        ]
        supervisor = Supervisor(config, tasks, messages, report, show)
        try:
            return supervisor.run()
        except ClusterLostError as loss:
            if supervisor.step > furthest:
                backoff.succeed()
            furthest, restarts = max(furthest, supervisor.step), restarts + 1
            wait_seconds = backoff.fail()
            if wait_seconds is None:
                raise UserError(given_up(str(loss), config)) from None
        finally:
            stop(tasks)
        time.sleep(wait_seconds)


def _roles(config: TrainingConfig) -> dict[str, dict[str, Any] | None]:
    """Name of each task -> its `TF_CONFIG`, the leader's first, which trains and tells of it."""
    counts = task_counts(config)
    tasks = [(kind, index) for kind, count in counts.items() for index in range(count)]
    cluster: dict[str, list[str]] = {}
    for kind, _ in tasks:
        if kind != "evaluator":  # which is no part of the cluster: nobody connects to it
            cluster.setdefault(kind, []).append(f"127.0.0.1:{reserve_port()}")
    alone = len(tasks) == 1
    return {
        f"{kind}-{index}": None
        if alone
        else {"cluster": cluster, "task": {"type": kind, "index": index}}
        for kind, index in tasks
    }
