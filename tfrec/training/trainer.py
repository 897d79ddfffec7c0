"""Training a model to its last epoch, from wherever the last checkpoint left it."""

import collections
import contextlib
import json
import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import tensorflow as tf
import tf_keras

from tfrec.data.input_pipeline import Batch, read_shuffled
from tfrec.data.prepared import TRAIN
from tfrec.errors import UserError
from tfrec.features.parsing import REPEAT, TIME
from tfrec.training.config import TrainingConfig
from tfrec.training.job import TrainingJob
from tfrec.training.strategies import make_strategy

_REPORT_SECONDS = 1.0
_RATE_REPORTS = 10
_INITIAL_ACCUMULATOR = 1e-8


@dataclass(frozen=True)
class Progress:
    """How far training is.

    Attributes:
      step: steps done.
      steps: steps in all.
      examples_per_second: over the last seconds.
      loss: mean of the last whole epoch; none before its end.
    """

    step: int
    steps: int
    examples_per_second: float
    loss: float | None


def train(job: TrainingJob, report: Callable[[Progress], None]) -> None:
    """Trains the job's model and leaves its checkpoints and log.

    A checkpoint follows every epoch; where there is one, training goes on behind it.

    Args:
      job: what to train.
      report: called about once a second.

    Raises:
      UserError: if there are fewer examples than a batch takes.
    """
    config = job.training
    tf_keras.utils.set_random_seed(config.seed)
    steps = steps_per_epoch(job.training_examples(), config.batch_size)
    strategy = make_strategy(config)
    with strategy.scope():
        model = job.build_model()
        model.compile(
            optimizer=_optimizer(config),
            steps_per_execution=min(config.steps_per_dispatch, steps),
        )
        model.optimizer.build(model.trainable_variables)
        epoch = tf.Variable(0, dtype=tf.int64, trainable=False)
    checkpoint = tf.train.Checkpoint(model=model, optimizer=model.optimizer, epoch=epoch)
    manager = tf.train.CheckpointManager(checkpoint, str(job.checkpoints), max_to_keep=2)
    manager.restore_or_initialize()
    keeper = _EndOfEpoch(job, manager, epoch)
    step, whole = model.optimizer.iterations, steps * config.epochs
    with _reporting(step, whole, config.batch_size, keeper, report):
        model.fit(
            _examples(job, strategy, int(step.numpy())),
            initial_epoch=int(epoch.numpy()),
            epochs=config.epochs,
            steps_per_epoch=steps,
            callbacks=[keeper],
            verbose=0,
        )


def steps_per_epoch(examples: int, batch_size: int) -> int:
    """Counts the whole batches of the training examples."""
    if examples < batch_size:
        raise UserError(
            f"training.batch_size: {batch_size} is more than the {examples} training examples; "
            "lower it"
        )
    return examples // batch_size


class _EndOfEpoch(tf_keras.callbacks.Callback):
    """Writes the checkpoint and the line of the log."""

    def __init__(
        self, job: TrainingJob, manager: tf.train.CheckpointManager, epoch: tf.Variable
    ) -> None:
        super().__init__()
        self._job, self._manager, self._epoch = job, manager, epoch
        self.loss: float | None = None

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        self._started = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        self.loss = float(self.model.get_metrics_result()["mean_loss"])
        if not math.isfinite(self.loss):
            raise UserError(
                f"training: the loss of epoch {epoch + 1} is {self.loss}; "
                "lower training.learning_rate"
            )
        self._epoch.assign(epoch + 1)
        self._manager.save()
        seconds = time.monotonic() - self._started
        line = {"epoch": epoch + 1, "loss": self.loss, "seconds": round(seconds, 1)}
        with self._job.log.open("a") as log:
            log.write(json.dumps(line) + "\n")


@contextlib.contextmanager
def _reporting(
    step: tf.Variable,
    steps: int,
    batch_size: int,
    keeper: _EndOfEpoch,
    report: Callable[[Progress], None],
) -> Iterator[None]:
    """Reports from a thread of its own: a coordinator allows no callback between its steps."""
    finished = threading.Event()
    recent = collections.deque([(time.monotonic(), int(step.numpy()))], maxlen=_RATE_REPORTS)

    def tell() -> None:
        recent.append((time.monotonic(), int(step.numpy())))
        (began, first), (now, done) = recent[0], recent[-1]
        report(Progress(done, steps, (done - first) * batch_size / (now - began), keeper.loss))

    def tell_again_and_again() -> None:
        while not finished.wait(_REPORT_SECONDS):
            tell()

    thread = threading.Thread(target=tell_again_and_again, daemon=True)
    thread.start()
    try:
        yield
        tell()
    finally:
        finished.set()
        thread.join()


def _optimizer(config: TrainingConfig) -> tf_keras.optimizers.Optimizer:
    """Adagrad with a small start: gradients of a mean over a large batch are small themselves."""
    return tf_keras.optimizers.Adagrad(
        config.learning_rate, initial_accumulator_value=_INITIAL_ACCUMULATOR
    )


def _examples(job: TrainingJob, strategy: tf.distribute.Strategy, step: int) -> object:
    """The input of `fit` from a step on; on a cluster each worker reads files of its own."""
    config, part = job.training, job.data.parts[TRAIN]

    def read(start: int, share: tuple[int, int | tf.Tensor] = (1, 0)) -> tf.data.Dataset:
        return read_shuffled(
            job.data.examples(TRAIN),
            part.files,
            job.features,
            config.batch_size,
            config.seed,
            example_weight(config, part.last or 0),
            start,
            share,
        )

    if not isinstance(strategy, tf.distribute.ParameterServerStrategy):
        return read(step)
    check_shares(part.files.values(), config)

    def read_share(_: tf.distribute.InputContext) -> tf.data.Dataset:
        worker = tf.distribute.coordinator.experimental_get_current_worker_index()
        # Nobody counts the batches of each worker: they are taken to have been as many.
        return read(step // config.workers, (config.workers, worker))

    return tf_keras.utils.experimental.DatasetCreator(read_share)


def check_shares(examples: Iterable[int], config: TrainingConfig) -> None:
    """Checks that each worker's files fill a batch.

    Args:
      examples: the number of examples in each file.
      config: the `training` section.

    Raises:
      UserError: if they do not.
    """
    examples = list(examples)
    smallest = min(sum(examples[worker :: config.workers]) for worker in range(config.workers))
    if smallest < config.batch_size:
        raise UserError(
            f"training.workers: {config.workers} share {len(examples)} files of training examples, "
            f"and one of them gets {smallest} examples, less than a batch; lower it or "
            "training.batch_size, or raise data.shards"
        )


def example_weight(config: TrainingConfig, newest: int) -> Callable[[Batch], tf.Tensor]:
    """Weighs examples by their age and by whether they repeat an earlier one.

        weight = 2 ^ -(age / recency_half_life) * (repeat_weight if a repeat else 1)

    Args:
      config: the `training` section.
      newest: the moment, in seconds since 1970, at which age is 0.

    Returns:
      A map of a batch to float32 `[batch]`.
    """

    def weight(batch: Batch) -> tf.Tensor:
        weights = tf.where(batch[REPEAT] > 0, config.repeat_weight, 1.0)
        if config.recency_half_life is None:
            return weights
        age = tf.cast(newest - batch[TIME], tf.float32)
        return weights * tf.pow(2.0, -age / config.recency_half_life)

    return weight
