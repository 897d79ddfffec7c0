"""Watching the tasks of a cluster: what is heard, which ones died, which ones hang."""

import contextlib
import queue
import time
from collections.abc import Callable, Mapping, Sequence

from tfrec.errors import UserError
from tfrec.training.backoff import Backoff
from tfrec.training.config import TrainingConfig
from tfrec.training.failures import ClusterLostError
from tfrec.training.processes import Message, TaskProcess, TaskStatus, stop
from tfrec.training.progress import Progress
from tfrec.training.task import ERROR, LOST, PROGRESS

_POLL_SECONDS = 0.2
_LEADER_WAITS_SECONDS = 10.0
_SHOW_SECONDS = 1.0
_RESUME = "`tfrec train CONFIG --resume` goes on behind the last checkpoint"


class Supervisor:
    """Keeps the tasks of one cluster going until the leader has trained.

    Attributes:
      step: the last step that the leader told of; -1 before the first.
    """

    def __init__(
        self,
        config: TrainingConfig,
        tasks: Sequence[TaskProcess],
        messages: "queue.Queue[Message]",
        report: Callable[[Progress], None],
        show: Callable[[Sequence[TaskStatus]], None],
    ) -> None:
        """Takes tasks that are not started yet.

        Args:
          config: the `training` section.
          tasks: the leader first.
          messages: what the tasks say.
          report: called with the leader's progress.
          show: called with all tasks when one changes, and about once a second.
        """
        self.step = -1
        self._config, self._messages = config, messages
        self._tasks = {task.name: task for task in tasks}
        self._leader = tasks[0]
        self._awaited = {task.name for task in tasks if task.kind == "evaluator"} | {tasks[0].name}
        self._report, self._show, self._shown = report, show, 0.0
        self._backoffs = {name: Backoff(config.restarts) for name in self._tasks}
        self._steps: dict[str, int] = {}
        self._advanced: dict[str, float] = {}

    def run(self) -> None:
        """Starts the tasks and watches them; stopping them is left to the caller.

        Raises:
          UserError: if training cannot go on.
          ClusterLostError: if it can, with all tasks started again.
        """
        for task in self._tasks.values():
            task.start()
            self._advanced[task.name] = task.heard
        changed = True
        while self._awaited:
            if changed or time.monotonic() - self._shown > _SHOW_SECONDS:
                self._show_tasks()
            ended = [task for task in self._tasks.values() if task.exit_status is not None]
            self._hear(ended)
            if self._leader in ended and self._leader.exit_status == 0:
                self._dismiss()
            # A server takes the leader along when it dies: its end says more than the leader's.
            for task in sorted(ended, key=lambda task: task is self._leader):
                if task.process is not None:
                    self._bury(task)
            started = [task for task in self._tasks.values() if task.start_if_due()]
            for task in started:
                self._advanced[task.name] = task.heard
            self._kill_hung()
            changed = bool(ended or started)
        self._show_tasks()

    def _hear(self, ended: Sequence[TaskProcess]) -> None:
        """Waits a moment for messages; of tasks that have ended it misses none."""
        for task in ended:
            task.hear_out()
        wait_seconds = 0.0 if ended else _POLL_SECONDS
        with contextlib.suppress(queue.Empty):
            while True:
                message = self._messages.get(timeout=wait_seconds)
                wait_seconds = 0.0
                self._tasks[message.task].heard = time.monotonic()
                if ERROR in message.content:
                    raise UserError(message.content[ERROR])
                if PROGRESS in message.content:
                    self._note(Progress(**message.content[PROGRESS]))

    def _note(self, progress: Progress) -> None:
        self.step = progress.step
        for index, steps in enumerate(progress.worker_steps):
            worker = f"worker-{index}"
            if worker in self._tasks and steps > self._steps.setdefault(worker, steps):
                self._backoffs[worker].succeed()
                self._steps[worker], self._advanced[worker] = steps, time.monotonic()
        self._report(progress)

    def _dismiss(self) -> None:
        """Lets all go but the evaluator, which measures the last checkpoint yet."""
        served = [task for task in self._tasks.values() if task.kind != "evaluator"]
        stop(served)
        for task in served:
            task.leave("done")
            self._awaited.discard(task.name)

    def _bury(self, task: TaskProcess) -> None:
        """Decides what becomes of a task whose process has ended.

        Raises:
          UserError: if nothing does.
          ClusterLostError: if it takes all the others along.
        """
        if task.exit_status == 0:
            task.leave("done")
            self._awaited.discard(task.name)
            return
        cause, in_step = task.cause_of_death(), self._config.strategy == "multi_worker_mirrored"
        if task is self._leader and task.exit_status != LOST and not in_step:
            raise UserError(f"training: {task.name} {cause}; {_RESUME}; {task.where_to_look()}")
        if task is self._leader or task.kind == "ps" or (task.kind == "worker" and in_step):
            task.leave(f"{cause}; all tasks start again")
            self._show_tasks()
            raise ClusterLostError(f"{task.name} {cause}; {task.where_to_look()}")
        wait_seconds = self._backoffs[task.name].fail()
        if wait_seconds is None:
            loss = f"{task.name} {cause}; {task.where_to_look()}"
            raise UserError(given_up(loss, self._config))
        task.leave(f"{cause}; starts again in {wait_seconds:.0f} s", wait_seconds)

    def _kill_hung(self) -> None:
        limit, now = self._config.worker_timeout, time.monotonic()
        alive = {name: task for name, task in self._tasks.items() if task.running}
        idle = stalled_workers({name: self._advanced[name] for name in self._steps}, limit)
        for name, task in alive.items():
            # The leader may be silent because another task is, which then is killed first.
            patience = limit + _LEADER_WAITS_SECONDS if task is self._leader else limit
            if now - task.heard > patience or name in idle:
                task.kill_hung(patience)
                # All others may have waited for it.
                self._leader.heard = now
                self._advanced = dict.fromkeys(self._advanced, now)

    def _show_tasks(self) -> None:
        self._shown = time.monotonic()
        self._show([task.status() for task in self._tasks.values()])


def stalled_workers(advanced: Mapping[str, float], limit_seconds: float) -> list[str]:
    """Names the workers that have made no step for long while another one did.

    Args:
      advanced: name of a worker -> when it last made a step, or was started.
      limit_seconds: how long is too long. Nobody is stalled while all rest, as they do between
        epochs.
    """
    newest = max(advanced.values(), default=0.0)
    return [name for name, moment in advanced.items() if newest - moment > limit_seconds]


def given_up(loss: str, config: TrainingConfig) -> str:
    """The last word on tasks that die again and again."""
    return (
        f"training: {loss}; gave up after {config.restarts} restarts in a row without progress "
        f"(training.restarts); {_RESUME}"
    )
