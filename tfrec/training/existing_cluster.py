"""Training in a cluster that others have started, in which this process is one task."""

import json
import queue
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from tfrec.errors import UserError
from tfrec.training.backoff import Backoff
from tfrec.training.cluster import supervise, task_command, task_counts
from tfrec.training.config import TrainingConfig
from tfrec.training.heartbeat import HEARTBEAT, Heartbeat, beating
from tfrec.training.processes import Message, TaskProcess, TaskStatus, stop
from tfrec.training.progress import Progress

_POLL_SECONDS = 0.5


class LeaderLostError(UserError):
    """The leader of a cluster has given no sign of life for long."""


class ExistingCluster:
    """The cluster that `TF_CONFIG` describes; a `Submitter` for the task that leads it.

    Attributes:
      name: kind and number of this process's task, e.g. `worker-0`.
      leads: whether it trains and saves, while the others help.
    """

    def __init__(self, tf_config: str | None, poll_seconds: float = _POLL_SECONDS) -> None:
        """Reads which task this is.

        Args:
          tf_config: the variable's value.
          poll_seconds: how often a helping task looks whether training has ended.

        Raises:
          UserError: if it does not say so.
        """
        if not tf_config:
            raise UserError(
                "TF_CONFIG: not set; start every task with its own, e.g. "
                '{"cluster": {"chief": ["a:2222"], "worker": ["b:2222"], "ps": ["c:2222"]}, '
                '"task": {"type": "chief", "index": 0}}'
            )
        try:
            self._tf_config = json.loads(tf_config)
            cluster, task = self._tf_config["cluster"], self._tf_config["task"]
            kind, index = str(task["type"]), int(task["index"])
            self._cluster: dict[str, list[str]] = {k: list(v) for k, v in cluster.items()}
        except (ValueError, KeyError, TypeError, AttributeError):
            raise UserError(
                f"TF_CONFIG: {tf_config!r}: not understood; it is JSON with cluster (kind -> "
                "addresses) and task (type and index)"
            ) from None
        if kind != "evaluator" and index not in range(len(self._cluster.get(kind, []))):
            raise UserError(f"TF_CONFIG: its task {kind}-{index} is not in its cluster; add it")
        leader = "chief" if "chief" in self._cluster else "worker"
        self.name, self.leads = f"{kind}-{index}", (kind, index) == (leader, 0)
        self._leader_address = self._cluster[leader][0] if self._cluster.get(leader) else ""
        self._poll_seconds = poll_seconds

    def check(self, config: TrainingConfig) -> None:
        """Checks that the cluster is the one that a config was made for.

        Raises:
          UserError: if another number of tasks is there than the config says.
        """
        wanted = {kind: n for kind, n in task_counts(config).items() if kind != "evaluator"}
        found = {kind: len(addresses) for kind, addresses in self._cluster.items() if addresses}
        if found != wanted:
            raise UserError(
                f"TF_CONFIG: its cluster has {_listed(found)}, while training.strategy "
                f"{config.strategy} takes {_listed(wanted)}; make training.workers and "
                "training.parameter_servers, or the cluster, fit"
            )

    def __call__(
        self,
        config: TrainingConfig,
        job: Path,
        logs: Path,
        report: Callable[[Progress], None],
        show: Callable[[Sequence[TaskStatus]], None] = lambda tasks: None,
    ) -> None:
        """Trains as the leader; a process that lost the others is started again."""
        own: Mapping[str, Mapping[str, Any]] = {self.name: self._tf_config}
        supervise(config, task_command(job), logs, report, show, own)

    def leading(self, folder: Path) -> AbstractContextManager[None]:
        """Lets the tasks that help see that the leader is at work, before and after training too.

        Args:
          folder: the job's.
        """
        return beating(folder / HEARTBEAT)

    def leader_in(self, folder: Path, config: TrainingConfig) -> "Leader":
        """The leader, as its signs of life in a folder show it."""
        return Leader(self._leader_address, folder, config.worker_timeout)

    def help(
        self,
        config: TrainingConfig,
        job: Path,
        logs: Path,
        has_ended: Callable[[], bool],
        show: Callable[[Sequence[TaskStatus]], None] = lambda tasks: None,
    ) -> None:
        """Does what the leader asks for until training has ended.

        Args:
          config: the `training` section.
          job: the job as JSON, which the leader writes in the folder that it is `leading` in.
          logs: directory for this task's log.
          has_ended: tells whether what training was for is there.
          show: called with this task when it changes.

        Raises:
          UserError: if this task dies more often in a row than `training.restarts` says.
          LeaderLostError: if the leader is not there for `training.worker_timeout`.
        """
        leader = self.leader_in(job.parent, config)
        while not job.exists() and not has_ended():
            leader.check()
            time.sleep(self._poll_seconds)
        if has_ended():
            return
        logs.mkdir(exist_ok=True)
        messages: queue.Queue[Message] = queue.Queue()
        log = logs / f"{self.name}.log"
        task = TaskProcess(self.name, task_command(job), self._tf_config, log, messages)
        task.start()
        try:
            self._watch(config, task, leader, has_ended, show)
        finally:
            stop([task])

    def _watch(
        self,
        config: TrainingConfig,
        task: TaskProcess,
        leader: "Leader",
        has_ended: Callable[[], bool],
        show: Callable[[Sequence[TaskStatus]], None],
    ) -> None:
        backoff, shown = Backoff(config.restarts), None
        while not has_ended():
            if task.exit_status:
                cause, wait_seconds = task.cause_of_death(), backoff.fail()
                if wait_seconds is None:
                    raise UserError(f"training: {task.name} {cause}; {task.where_to_look()}")
                task.leave(f"{cause}; starts again in {wait_seconds:.0f} s", wait_seconds)
            task.start_if_due()
            if task.status().state != shown:
                shown = task.status().state
                show([task.status()])
            leader.check()
            time.sleep(self._poll_seconds)


class Leader:
    """The leader, as its signs of life show it to a task that helps.

    Attributes:
      heartbeat: its signs of life.
    """

    def __init__(self, address: str, folder: Path, timeout_seconds: float) -> None:
        """Begins to listen to the leader at an address, which beats in a folder."""
        self.heartbeat = Heartbeat(folder / HEARTBEAT)
        self._address, self._timeout_seconds = address, timeout_seconds

    def check(self) -> None:
        """Looks whether it goes on.

        Raises:
          LeaderLostError: if it has not for long.
        """
        if self.heartbeat.silent_seconds > self._timeout_seconds:
            raise LeaderLostError(
                f"training: the leader, {self._address}, gives no sign of life in "
                f"{self.heartbeat.file.parent} for {self._timeout_seconds} s "
                "(training.worker_timeout); see what it ended with, and whether its config and "
                "directories are the same"
            )


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in counts.items()) or "no task"
