"""A training cluster of processes on this machine."""

import contextlib
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tfrec.errors import UserError
from tfrec.training.config import TrainingConfig
from tfrec.training.task import ERROR, FOLLOW_STDIN, PROGRESS
from tfrec.training.trainer import Progress

_POLL_SECONDS = 0.2
_STOP_SECONDS = 10


@dataclass
class _Task:
    name: str
    process: subprocess.Popen[str]
    log: Path


def run_cluster(
    config: TrainingConfig, job: Path, logs: Path, report: Callable[[Progress], None]
) -> None:
    """Trains a job in processes of its own: a chief, and for parameter servers the rest.

    The processes listen on free loopback ports, log to a file each, and end with this process.

    Args:
      config: the `training` section.
      job: a `TrainingJob` as JSON.
      logs: directory for the log files.
      report: called as training goes on.

    Raises:
      UserError: if a task ends before its time; it names the task and its log.
    """
    logs.mkdir(parents=True, exist_ok=True)
    counts = {"chief": 1}
    if config.strategy == "parameter_server":
        counts = {"ps": config.parameter_servers, "worker": config.workers, "chief": 1}
    with _started(counts, job, logs) as tasks:
        _watch(tasks, report)


@contextlib.contextmanager
def _started(counts: dict[str, int], job: Path, logs: Path) -> Iterator[list[_Task]]:
    """Starts the tasks, the chief last, and stops what still runs at the end."""
    names = [(kind, index) for kind, count in counts.items() for index in range(count)]
    cluster: dict[str, list[str]] = {kind: [] for kind in counts}
    for (kind, _), port in zip(names, _free_ports(len(names)), strict=True):
        cluster[kind].append(f"127.0.0.1:{port}")
    tasks: list[_Task] = []
    try:
        for kind, index in names:
            role = {"cluster": cluster, "task": {"type": kind, "index": index}}
            tf_config = role if len(names) > 1 else None
            tasks.append(_start(f"{kind}-{index}", tf_config, job, logs))
        yield tasks
    finally:
        for task in tasks:
            task.process.terminate()
        for task in tasks:
            try:
                task.process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                task.process.kill()
                task.process.wait()


def _start(name: str, tf_config: object, job: Path, logs: Path) -> _Task:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    if tf_config is not None:
        environment["TF_CONFIG"] = json.dumps(tf_config)
    log = logs / f"{name}.log"
    with log.open("a") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "tfrec.training.task", str(job), FOLLOW_STDIN],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE if name.startswith("chief") else errors,
            stderr=errors,
            env=environment,
            text=True,
            start_new_session=True,
        )
    return _Task(name, process, log)


def _watch(tasks: Sequence[_Task], report: Callable[[Progress], None]) -> None:
    """Passes the chief's progress on until it ends; no other task may end before it."""
    *others, chief = tasks
    lines: queue.Queue[str] = queue.Queue()
    assert chief.process.stdout is not None
    reader = threading.Thread(target=_forward, args=(chief.process.stdout, lines), daemon=True)
    reader.start()
    while True:
        ended = chief.process.poll() is not None
        if ended:
            reader.join()
        with contextlib.suppress(queue.Empty):
            while True:
                message = json.loads(lines.get(timeout=0 if ended else _POLL_SECONDS))
                if ERROR in message:
                    raise UserError(message[ERROR])
                report(Progress(**message[PROGRESS]))
        if ended:
            break
        for task in others:
            if task.process.poll() is not None:
                raise UserError(_obituary(task))
    if chief.process.returncode:
        raise UserError(_obituary(chief))


def _forward(stream: IO[str], lines: queue.Queue[str]) -> None:
    for line in stream:
        if line.startswith("{"):
            lines.put(line)


def _obituary(task: _Task) -> str:
    status = task.process.returncode
    how = f"exited with status {status}"
    if status < 0:
        how = f"was killed by {signal.Signals(-status).name}"
    said = task.log.read_text(errors="replace").strip().splitlines()
    last = f"; its last line: {said[-1]}" if said else ""
    return f"training: {task.name} {how} before training ended; see {task.log}{last}"


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
