"""A task of a local cluster, done by a process, and by the next one where that dies."""

import contextlib
import json
import math
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psutil

SUPERVISED = "--supervised"
"""Argument that tells a program to end with its standard input and to give signs of life."""

_STOP_ORDER = ("chief", "worker", "ps", "evaluator")
_STOP_SECONDS = 10.0
_TAIL_BYTES = 64 * 1024


@dataclass(frozen=True)
class TaskStatus:
    """What a task of a cluster does.

    Attributes:
      name: kind and number, e.g. `worker-0`.
      state: in words, e.g. `running`.
      pid: of its process; none while it has none.
      restarts: how often it was started again.
      memory_bytes: resident memory of its process.
      log: where its output goes.
    """

    name: str
    state: str
    pid: int | None
    restarts: int
    memory_bytes: int
    log: Path


@dataclass(frozen=True)
class Message:
    """A line of JSON that a task's process wrote; an empty one only says that it lives."""

    task: str
    content: Mapping[str, Any]


class TaskProcess:
    """A task and its process.

    Attributes:
      name: kind and number, e.g. `worker-0`.
      process: which does it now; none before the first start and until the next one.
      restarts: how often it was started again.
      heard: when the process last gave a sign of life, on the monotonic clock.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        tf_config: Mapping[str, Any] | None,
        log: Path,
        messages: "queue.Queue[Message]",
        restarts: int = 0,
    ) -> None:
        """Describes a task; nothing is started yet.

        Args:
          name: kind and number, e.g. `worker-0`.
          command: program and arguments.
          tf_config: which task of which cluster it is; none for one that is alone.
          log: file to which the output is appended.
          messages: gets what the process says.
          restarts: how often it was started before.
        """
        self.name, self.restarts, self.heard = name, restarts, 0.0
        self._command, self._log, self._messages = command, log, messages
        self._environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        self._environment.pop("TF_CONFIG", None)
        if tf_config is not None:
            self._environment["TF_CONFIG"] = json.dumps(tf_config)
        self.process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._state, self._due, self._hung_seconds = "not started", 0.0, 0.0

    @property
    def kind(self) -> str:
        """`chief`, `worker`, `ps` or `evaluator`."""
        return self.name.split("-")[0]

    @property
    def exit_status(self) -> int | None:
        """Its process's exit status, below 0 for a signal; none while it runs or there is none."""
        return self.process.poll() if self.process else None

    @property
    def running(self) -> bool:
        """Whether it has a process that has not ended."""
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """Starts a process."""
        with self._log.open("a") as log:
            self.process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=self._environment,
                text=True,
                errors="replace",
                start_new_session=True,
            )
        self._state, self._hung_seconds, self.heard = "running", 0.0, time.monotonic()
        self._reader = threading.Thread(
            target=self._listen, args=(self.process.stdout,), daemon=True
        )
        self._reader.start()

    def leave(self, state: str, seconds: float = math.inf) -> None:
        """Leaves a process that has ended; the next one is due in `seconds`, if ever."""
        self._state, self.process, self._due = state, None, time.monotonic() + seconds

    def start_if_due(self) -> bool:
        """Starts the next process if its time has come, and says whether it did."""
        if self.process is not None or time.monotonic() < self._due:
            return False
        self.restarts += 1
        self.start()
        return True

    def kill_hung(self, seconds: float) -> None:
        """Kills the process, which has been of no use for so many seconds."""
        assert self.process is not None
        self._state, self._hung_seconds = f"hung for {seconds:.0f} s", seconds
        self.process.kill()

    def hear_out(self) -> None:
        """Waits until all that a process which has ended said is in the messages."""
        if self._reader is not None:
            self._reader.join()

    def status(self) -> TaskStatus:
        """What the task does now."""
        pid = self.process.pid if self.process and self.running else None
        return TaskStatus(self.name, self._state, pid, self.restarts, _resident(pid), self._log)

    def cause_of_death(self) -> str:
        """How a process that has ended did, e.g. `was killed by SIGKILL`."""
        status = self.exit_status
        assert status is not None
        if self._hung_seconds:
            return f"hung for {self._hung_seconds:.0f} s and was killed"
        if status < 0:
            return f"was killed by {signal.Signals(-status).name}"
        return f"exited with status {status}"

    def where_to_look(self) -> str:
        """Names the log and the last line of it."""
        with self._log.open("rb") as log:
            log.seek(max(0, self._log.stat().st_size - _TAIL_BYTES))
            said = log.read().decode(errors="replace").strip().splitlines()
        return f"see {self._log}" + (f"; its last line: {said[-1]}" if said else "")

    def _listen(self, output: IO[str]) -> None:
        """Passes messages on; what else the process prints goes to its log."""
        for line in output:
            content = _parse(line)
            if content is not None:
                self._messages.put(Message(self.name, content))
                continue
            # A full disk must not end the hearing of signs of life.
            with contextlib.suppress(OSError), self._log.open("a") as log:
                log.write(line)


def stop(tasks: Iterable[TaskProcess]) -> None:
    """Ends the tasks' processes, the chief's first and servers' after those that use them.

    Those of one kind end together; they are asked first, and killed if that takes long.
    """
    tasks = list(tasks)
    for kind in _STOP_ORDER:
        _stop([task.process for task in tasks if task.kind == kind and task.process is not None])


def _stop(processes: Sequence["subprocess.Popen[str]"]) -> None:
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + _STOP_SECONDS
    for process in processes:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _parse(line: str) -> Mapping[str, Any] | None:
    if not line.startswith("{"):
        return None
    try:
        return json.loads(line)
    except ValueError:
        return None


def _resident(pid: int | None) -> int:
    if pid is None:
        return 0
    try:
        return psutil.Process(pid).memory_info().rss
    except psutil.NoSuchProcess:
        return 0
