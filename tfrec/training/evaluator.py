"""Measuring checkpoints on the validation part, beside training, in a process of its own."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf
import tf_keras

from tfrec.training.batches import Batches
from tfrec.training.checkpoints import saved_steps
from tfrec.training.epoch_log import EpochLog
from tfrec.training.job import TrainingJob
from tfrec.training.step import TrainingStep
from tfrec.training.tensorboard import TensorBoard

_LOOK_SECONDS = 5.0


def evaluate(job: TrainingJob) -> None:
    """Measures a job's checkpoints as they come, until the last one.

    Each adds a line to `evaluations.jsonl`: `step`, `validation_loss`, the mean over the batches of
    the whole validation part, and `seconds`, which measuring took. Checkpoints that another one
    follows before their turn are left out. Without validation examples there is nothing to do.

    Args:
      job: what is being trained.
    """
    tf_keras.mixed_precision.set_global_policy(job.training.precision)
    alone = job.training.model_copy(update={"strategy": "single"})
    batches = Batches(job.model_copy(update={"training": alone}))
    if not batches.validation_steps:
        return
    step = TrainingStep(job.build_model(), workers=1, accumulation=1)
    step.compile()
    board = TensorBoard(job.output / "tensorboard" / "evaluator")
    evaluations = _Evaluations(job.output / "evaluations.jsonl")
    for prefix in _checkpoints(job, batches.per_epoch, evaluations):
        started = time.monotonic()
        try:
            steps = saved_steps(prefix)
            if steps <= evaluations.last:
                continue
            tf.train.Checkpoint(model=step.model).restore(prefix).expect_partial()
        except tf.errors.NotFoundError:  # two newer ones have taken its place meanwhile
            continue
        loss = _measure(step, batches)
        evaluations.add(steps, loss, time.monotonic() - started)
        board.validation(loss, steps)


def _measure(step: TrainingStep, batches: Batches) -> float:
    measured = step.evaluate(
        batches.validation(tf.distribute.get_strategy()),
        steps=batches.validation_steps,
        return_dict=True,
        verbose=0,
    )
    return float(measured["validation_loss"])


class _Evaluations:
    """The lines, of a process before this one too.

    Attributes:
      last: step of the last one.
    """

    def __init__(self, file: Path) -> None:
        lines = file.read_text().splitlines() if file.exists() else []
        self._file, self.last = file, max((json.loads(line)["step"] for line in lines), default=0)

    def add(self, step: int, loss: float, seconds: float) -> None:
        line = {"step": step, "validation_loss": loss, "seconds": round(seconds, 1)}
        with self._file.open("a") as file:
            file.write(json.dumps(line) + "\n")
        self.last = step


def _checkpoints(job: TrainingJob, per_epoch: int, evaluations: _Evaluations) -> Iterator[str]:
    """Waits for each new checkpoint, until training is over and its last one is measured."""

    def is_over() -> bool:
        log = EpochLog(job.log, job.training.epochs, job.training.early_stopping)
        ended = len(log.epochs) == job.training.epochs or log.stopped
        return ended and evaluations.last >= len(log.epochs) * per_epoch

    folder = str(job.checkpoints)
    return tf.train.checkpoints_iterator(folder, timeout=_LOOK_SECONDS, timeout_fn=is_over)
