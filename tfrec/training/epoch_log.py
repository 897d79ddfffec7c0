"""The log of a run: a line of JSON per epoch, and what follows from the lines."""

import json
import math
from pathlib import Path

from pydantic import TypeAdapter

from tfrec.config import Section
from tfrec.errors import UserError
from tfrec.training.config import EarlyStopping


class Epoch(Section):
    """What an epoch came to.

    Attributes:
      epoch: its number, from 1.
      loss: mean over its steps.
      validation_loss: mean over the validation part, at its end; none without such a part.
      seconds: time it took, validation and checkpoint left out.
      steps_per_second: of training.
    """

    epoch: int
    loss: float
    validation_loss: float | None
    seconds: float
    steps_per_second: float


_EPOCHS = TypeAdapter(list[Epoch])


class EpochLog:
    """The epochs of a run, on disk after each.

    Attributes:
      epochs: those so far.
    """

    def __init__(
        self, file: Path, whole_epochs: int, stopping: EarlyStopping | None, kept: bool = True
    ) -> None:
        """Reads a run's log.

        Args:
          file: of lines of JSON; need not be there.
          whole_epochs: how many were done at the checkpoint that training goes on behind; the log
            may be ahead of it.
          stopping: when to stop early.
          kept: whether this process writes the file.
        """
        self._file, self._stopping, self._kept = file, stopping, kept
        self.epochs = read_epochs(file)[:whole_epochs]

    def add(self, epoch: Epoch) -> None:
        """Takes a line down.

        Raises:
          UserError: if a loss is no number.
        """
        for name, loss in (("loss", epoch.loss), ("validation loss", epoch.validation_loss)):
            if loss is not None and not math.isfinite(loss):
                raise UserError(
                    f"training: the {name} of epoch {epoch.epoch} is {loss}; "
                    "lower the learning_rate in training.optimizers"
                )
        self.epochs.append(epoch)
        if not self._kept:
            return
        partial = self._file.with_suffix(".partial")
        partial.write_text("".join(f"{line.model_dump_json()}\n" for line in self.epochs))
        partial.replace(self._file)

    @property
    def best(self) -> Epoch | None:
        """The epoch with the lowest validation loss, the first of equals; none without losses."""
        lowest = min(self._validation_losses, default=None)
        if lowest is None:
            return None
        return next(epoch for epoch in self.epochs if epoch.validation_loss == lowest)

    @property
    def is_best(self) -> bool:
        """Whether the last epoch is the best one."""
        return bool(self.epochs) and self.epochs[-1] is self.best

    @property
    def stopped(self) -> bool:
        """Whether training has stopped early."""
        if self._stopping is None or self.best is None:
            return False
        return self.epochs[-1].epoch - self.best.epoch >= self._stopping.patience

    @property
    def _validation_losses(self) -> list[float]:
        return [e.validation_loss for e in self.epochs if e.validation_loss is not None]


def read_epochs(file: Path) -> list[Epoch]:
    """Reads the lines of a log; none without one."""
    if not file.exists():
        return []
    return _EPOCHS.validate_python([json.loads(line) for line in file.read_text().splitlines()])
