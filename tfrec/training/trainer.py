"""Training a model to its last step, from wherever the last checkpoint left it."""

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext

import tensorflow as tf
import tf_keras

from tfrec.training.batches import Batches
from tfrec.training.checkpoints import Checkpoints, SavedEvery
from tfrec.training.config import TrainingConfig
from tfrec.training.epoch_log import Epoch, EpochLog
from tfrec.training.job import TrainingJob
from tfrec.training.progress import Progress, Reporting
from tfrec.training.step import TrainingStep, make_step
from tfrec.training.strategies import leads, make_strategy, steps_per_dispatch
from tfrec.training.tensorboard import TensorBoard
from tfrec.training.warm_start import warm_start


def train(job: TrainingJob, report: Callable[[Progress], None]) -> None:
    """Trains the job's model and leaves its checkpoints and log.

    A checkpoint follows every epoch, and others come between; where there is one, training goes on
    behind it.

    Args:
      job: what to train.
      report: called about once a second.

    Raises:
      UserError: if the data do not fill a batch, a loss is no number, or what the config says to
        start from is not there or of other features.
    """
    config = job.training
    tf_keras.utils.set_random_seed(config.seed)
    tf_keras.mixed_precision.set_global_policy(config.precision)
    batches = Batches(job)
    strategy = make_strategy(config)
    with strategy.scope():
        dispatch = min(steps_per_dispatch(config), batches.per_epoch)
        step = make_step(job.build_model(), config, dispatch)
    state = tf.train.Checkpoint(
        model=step.model,
        optimizer=step.optimizer,
        mean_loss=step.mean_loss,
        worker_steps=step.worker_steps,
    )
    checkpoints = Checkpoints(state, job.checkpoints, kept=leads(strategy))
    if not checkpoints.restore() and config.warm_start:
        with strategy.scope():
            warm_start(job, step)
    _Run(job, strategy, step, batches, checkpoints).finish(report)


class _Run:
    """The steps of a run that are left."""

    def __init__(
        self,
        job: TrainingJob,
        strategy: tf.distribute.Strategy,
        step: TrainingStep,
        batches: Batches,
        checkpoints: Checkpoints,
    ) -> None:
        self._job, self._strategy, self._step = job, strategy, step
        self._batches, self._checkpoints = batches, checkpoints
        self._board = TensorBoard(job.output / "tensorboard", kept=leads(strategy))
        self._warning: str | None = None

    def finish(self, report: Callable[[Progress], None]) -> None:
        """Trains to the last step, or to where early stopping ends it."""
        config, per_epoch = self._job.training, self._batches.per_epoch
        epoch, into = divmod(self._steps_done, per_epoch)
        log = EpochLog(self._job.log, epoch, config.early_stopping, kept=leads(self._strategy))

        def tell(progress: Progress) -> None:
            self._board.progress(progress)
            report(progress)

        def look() -> Progress:
            return self._look(log.epochs[-1].loss if log.epochs else None)

        with Reporting(config.batch_size, look, tell), self._saving_from_a_thread():
            if len(log.epochs) < epoch:
                self._end_epoch(log, epoch - 1)
            if into:
                self._fit(log, epoch, epoch + 1, per_epoch - into)
                epoch += 1
            if epoch < config.epochs and not log.stopped:
                self._fit(log, epoch, config.epochs, per_epoch)

    @property
    def _steps_done(self) -> int:
        return int(self._step.optimizer.iterations.numpy())

    def _end_epoch(self, log: EpochLog, epoch: int) -> None:
        """Ends an epoch whose last checkpoint came between its last step and its line."""
        ending = _EndOfEpoch(log, self._checkpoints, self._board)
        ending.set_model(self._step)
        ending.on_epoch_begin(epoch)
        logs = {}
        if steps := self._batches.validation_steps:
            data = self._batches.validation(self._strategy)
            measured = self._step.evaluate(data, steps=steps, verbose=0, return_dict=True)
            logs = {f"val_{name}": loss for name, loss in measured.items()}
        ending.on_epoch_end(epoch, logs)

    def _fit(self, log: EpochLog, first: int, last: int, steps: int) -> None:
        validation: dict[str, object] = {}
        if self._batches.validation_steps:
            validation = {
                "validation_data": self._batches.validation(self._strategy),
                "validation_steps": self._batches.validation_steps,
            }
        callbacks: list[tf_keras.callbacks.Callback] = [
            _EndOfEpoch(log, self._checkpoints, self._board)
        ]
        if self._job.training.strategy in ("single", "mirrored"):
            callbacks.append(_SavedBetweenSteps(self._checkpoints, self._job.training))
        self._step.fit(
            self._batches.training(self._strategy, self._steps_done, self._step.worker_steps),
            initial_epoch=first,
            epochs=last,
            steps_per_epoch=steps,
            callbacks=callbacks,
            verbose=0,
            **validation,
        )

    def _saving_from_a_thread(self) -> AbstractContextManager[object]:
        """On a cluster tables are saved while workers go on training them."""
        if self._job.training.strategy != "parameter_server":
            return nullcontext()
        return SavedEvery(self._job.training.checkpoint_every, self._checkpoints.save, self._warn)

    def _warn(self, warning: str) -> None:
        self._warning = warning

    def _look(self, last_loss: float | None) -> Progress:
        steps = self._batches.per_epoch * self._job.training.epochs
        done = self._steps_done
        on_cluster = self._job.training.strategy == "parameter_server"
        warning, self._warning, loss = self._warning, None, self._step.mean_loss
        return Progress(
            # Steps of a worker that was lost are made again by another one.
            step=min(done, steps),
            steps=steps,
            examples_per_second=0.0,
            loss=float(loss.result().numpy()) if loss.count.numpy() else last_loss,
            worker_steps=tuple(self._step.worker_steps.numpy().tolist()) if on_cluster else (),
            warning=warning,
        )


class _EndOfEpoch(tf_keras.callbacks.Callback):
    """Takes down what an epoch came to, and writes its checkpoint."""

    def __init__(self, log: EpochLog, checkpoints: Checkpoints, board: TensorBoard) -> None:
        super().__init__()
        self._log, self._checkpoints, self._board = log, checkpoints, board

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        self._began, self._first = time.monotonic(), self._iterations

    def on_test_begin(self, logs: Mapping[str, float] | None = None) -> None:
        self._trained = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        ended = getattr(self, "_trained", time.monotonic())
        seconds = ended - self._began
        validation_loss = (logs or {}).get("val_validation_loss")
        self._log.add(
            Epoch(
                epoch=epoch + 1,
                loss=float(self.model.mean_loss.result().numpy()),
                validation_loss=None if validation_loss is None else float(validation_loss),
                seconds=round(seconds, 1),
                steps_per_second=round((self._iterations - self._first) / seconds, 1),
            )
        )
        self._board.epoch(self._log.epochs[-1], self._iterations)
        self.model.mean_loss.reset_state()
        prefix = self._checkpoints.save()
        if self._log.is_best:
            self._checkpoints.keep_best(prefix)
        self.model.stop_training = self._log.stopped

    @property
    def _iterations(self) -> int:
        return int(self.model.optimizer.iterations.numpy())


class _SavedBetweenSteps(tf_keras.callbacks.Callback):
    """Writes a checkpoint between two steps once it is time."""

    def __init__(self, checkpoints: Checkpoints, config: TrainingConfig) -> None:
        super().__init__()
        self._checkpoints, self._seconds = checkpoints, config.checkpoint_every

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        ends_epoch = batch + 1 == self.params["steps"]
        if not ends_epoch and time.monotonic() - self._checkpoints.saved_at >= self._seconds:
            self._checkpoints.save()
