"""What TensorBoard shows of a run."""

import time
from pathlib import Path

import tensorflow as tf

from tfrec.training.epoch_log import Epoch
from tfrec.training.progress import Progress

_SECONDS = 5.0


class TensorBoard:
    """Writes curves over the steps: `train` has `loss` and `examples_per_second`, `validation` has
    `loss`, in the same picture.
    """

    def __init__(self, folder: Path, kept: bool = True) -> None:
        """Takes a folder, in which nothing is written before the first figure.

        Args:
          folder: of the curves.
          kept: whether this process is the one of several in step that writes.
        """
        self._folder, self._kept, self._written = folder, kept, time.monotonic()
        self._writers: dict[str, tf.summary.SummaryWriter] = {}

    def progress(self, progress: Progress) -> None:
        """Writes down where training is, every five seconds at the most."""
        if progress.loss is None or time.monotonic() - self._written < _SECONDS:
            return
        self._written = time.monotonic()
        rate = progress.examples_per_second
        self._write("train", progress.step, loss=progress.loss, examples_per_second=rate)

    def epoch(self, epoch: Epoch, step: int) -> None:
        """Writes down what an epoch came to, which ended with a step."""
        self._write("train", step, loss=epoch.loss)
        if epoch.validation_loss is not None:
            self.validation(epoch.validation_loss, step)

    def validation(self, loss: float, step: int) -> None:
        """Writes down a validation loss."""
        self._write("validation", step, loss=loss)

    def _write(self, run: str, step: int, **figures: float) -> None:
        if not self._kept:
            return
        if run not in self._writers:
            self._writers[run] = tf.summary.create_file_writer(str(self._folder / run))
        with self._writers[run].as_default():
            for name, figure in figures.items():
                tf.summary.scalar(name, figure, step)
        self._writers[run].flush()
