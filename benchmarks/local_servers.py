"""A cluster whose workers and parameter servers are processes, and whose chief is this one."""

import contextlib
import json
import os
import queue
import socket
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tfrec.training.processes import SUPERVISED, TaskProcess, stop


@dataclass(frozen=True)
class LocalServers:
    """The processes.

    Attributes:
      workers: those that compute gradients.
      servers: those that hold the tables.
    """

    workers: list[TaskProcess]
    servers: list[TaskProcess]


@contextlib.contextmanager
def local_servers(workers: int, servers: int) -> Iterator[LocalServers]:
    """Starts the processes, and tells this one of them by `TF_CONFIG`.

    They are the framework's own tasks, and end with this process whatever becomes of it.
    """
    counts = {"chief": 1, "worker": workers, "ps": servers}
    ports = iter(_free_ports(sum(counts.values())))
    cluster = {
        kind: [f"127.0.0.1:{next(ports)}" for _ in range(count)] for kind, count in counts.items()
    }

    def environment(kind: str, index: int) -> dict[str, object]:
        return {"cluster": cluster, "task": {"type": kind, "index": index}}

    # Only chiefs read a job.
    command = [sys.executable, "-m", "tfrec.training.task", os.devnull, SUPERVISED]
    os.environ["TF_CONFIG"] = json.dumps(environment("chief", 0))
    with tempfile.TemporaryDirectory() as logs:
        tasks = {
            kind: [
                TaskProcess(
                    f"{kind}-{index}",
                    command,
                    environment(kind, index),
                    Path(logs) / f"{kind}-{index}.log",
                    queue.Queue(),
                )
                for index in range(counts[kind])
            ]
            for kind in ("worker", "ps")
        }
        try:
            for task in (*tasks["worker"], *tasks["ps"]):
                task.start()
            yield LocalServers(tasks["worker"], tasks["ps"])
        finally:
            stop(tasks["worker"])
            stop(tasks["ps"])


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
