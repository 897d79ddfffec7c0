"""Where a job is trained."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from tfrec.training.config import TrainingConfig
from tfrec.training.processes import TaskStatus
from tfrec.training.progress import Progress


class Submitter(Protocol):
    """Has a job trained, and returns once its last checkpoint and its log are written.

    `run_cluster` is one: it trains in processes of this machine.
    """

    def __call__(
        self,
        config: TrainingConfig,
        job: Path,
        logs: Path,
        report: Callable[[Progress], None],
        show: Callable[[Sequence[TaskStatus]], None],
    ) -> None:
        """Trains.

        Args:
          config: the `training` section.
          job: a `TrainingJob` as JSON; whoever trains sees its directory, and that of the prepared
            data, under the same names.
          logs: directory for the tasks' logs.
          report: called as training goes on.
          show: called with all tasks when one changes.

        Raises:
          UserError: if training failed; it names the task, what became of it and its log. The same
            job can be submitted again and goes on behind its last checkpoint.
        """
