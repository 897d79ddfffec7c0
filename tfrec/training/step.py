"""One step of training, whatever the model and the strategy."""

from collections.abc import Iterable, Sequence
from typing import TypeAlias, cast

import tensorflow as tf
import tf_keras

from tfrec.data.input_pipeline import Batch
from tfrec.embeddings.fetching import recorded, table_gradient
from tfrec.embeddings.optimizers.grouped import GroupedOptimizer
from tfrec.embeddings.optimizers.make import make_optimizer
from tfrec.embeddings.reset import reset_rows
from tfrec.features.parsing import TIME
from tfrec.losses import replicas
from tfrec.models.base import Template
from tfrec.training.config import TrainingConfig
from tfrec.training.running_mean import RunningMean

WORKER = "_worker"
"""Key of a batch that says which worker read it: int64, a scalar."""

Gradient: TypeAlias = "tf.Tensor | tf.IndexedSlices | None"


class TrainingStep(tf_keras.Model):
    """Runs a template's loss backwards and lets the optimiser act; Keras' `fit` repeats it.

    Attributes:
      model: the template.
      mean_loss: of the steps since it was last reset; `fit` leaves it alone, so that an epoch in
        two goes has one mean.
      worker_steps: `[workers]` int64, steps of each worker of a cluster.
    """

    def __init__(self, model: Template, workers: int, accumulation: int) -> None:
        """Wraps a template.

        Args:
          model: the template.
          workers: number of workers that read batches of their own.
          accumulation: parts that a batch is worked off in.
        """
        super().__init__()
        self.model = model
        self.mean_loss = RunningMean("mean_loss")
        self.validation_loss = tf_keras.metrics.Mean("validation_loss")
        self.worker_steps = tf.Variable(
            tf.zeros([workers], tf.int64),
            trainable=False,
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
        )
        self._parts = accumulation

    @property
    def metrics(self) -> list[tf_keras.metrics.Metric]:
        """The metrics that `fit` resets."""
        return [self.validation_loss]

    # AutoGraph knows Keras by the name `keras` only, and would rewrite all of `tf_keras` on the way
    # through a step: half a minute before the first one.
    @tf.autograph.experimental.do_not_convert
    def train_step(self, inputs: Batch) -> dict[str, tf.Tensor]:
        """Makes one step on a batch.

        Args:
          inputs: what the input pipeline reads, and `WORKER` on a cluster.

        Returns:
          The batch's loss.
        """
        inputs = dict(inputs)
        worker = inputs.pop(WORKER, None)
        self._renew_rows(inputs)
        shares, gradients = zip(
            *(self._gradients(part) for part in _cut(inputs, self._parts)), strict=True
        )
        summed = [_mean(parts) for parts in zip(*gradients, strict=True)]
        weights = self.model.trainable_variables
        self._apply(zip(summed, weights, strict=True))
        loss = replicas.total(tf.add_n(shares) / self._parts)
        self.mean_loss.update_state(loss)
        if worker is not None:
            # Of a worker's replicas only the first one counts.
            replica = tf.distribute.get_replica_context().replica_id_in_sync_group
            one = tf.cast(tf.equal([replica], 0), tf.int64)
            self.worker_steps.scatter_add(tf.IndexedSlices(one, worker[tf.newaxis]))
        return {"loss": loss}

    @tf.autograph.experimental.do_not_convert
    def test_step(self, inputs: Batch) -> dict[str, tf.Tensor]:
        """Measures the loss of a batch."""
        inputs = {name: column for name, column in inputs.items() if name != WORKER}
        self.validation_loss.update_state(replicas.total(self.model.compute_loss(inputs)))
        return {metric.name: metric.result() for metric in self.metrics}

    def _apply(self, gradients: Iterable[tuple[Gradient, tf.Variable]]) -> None:
        alone = tf.distribute.get_strategy().num_replicas_in_sync == 1
        if alone and isinstance(self.optimizer, GroupedOptimizer):
            # Summing over one replica would forget that the rows of a gradient are distinct.
            self.optimizer.apply_gradients(gradients, skip_gradients_aggregation=True)
        else:
            self.optimizer.apply_gradients(gradients)

    def _renew_rows(self, inputs: Batch) -> None:
        """Lets dynamic vocabularies give out rows, and forgets what was learned in them."""
        grouped = getattr(self.optimizer, "inner_optimizer", self.optimizer)
        optimizer = cast(GroupedOptimizer, grouped)
        embedding = self.model.embedding
        for group, places, seed in embedding.give_out_rows(inputs, inputs[TIME]):
            shards = embedding.group_tables[group.name].shards
            reset_rows(shards, places, seed, optimizer.tables[group.name].reset)

    def _gradients(self, inputs: Batch) -> tuple[tf.Tensor, list[Gradient]]:
        """The loss of a part of a batch, and its slope along the trainable variables."""
        scaled = isinstance(self.optimizer, tf_keras.mixed_precision.LossScaleOptimizer)
        with tf.GradientTape() as tape, recorded() as fetches:
            loss = self.model.compute_loss(inputs, training=True)
            loss += sum(self.model.losses) / tf.distribute.get_strategy().num_replicas_in_sync
            steep = self.optimizer.get_scaled_loss(loss) if scaled else loss
        fetched = {id(fetch.table) for fetch in fetches}
        weights = self.model.trainable_variables
        dense = [weight for weight in weights if id(weight) not in fetched]
        slopes = tape.gradient(steep, [dense, [fetch.values for fetch in fetches]])
        gradients = {id(weight): slope for weight, slope in zip(dense, slopes[0], strict=True)}
        for table in fetched:
            own = [
                (fetch, slope)
                for fetch, slope in zip(fetches, slopes[1], strict=True)
                if id(fetch.table) == table and slope is not None
            ]
            gradients[table] = table_gradient(*map(list, zip(*own, strict=True))) if own else None
        ordered = [gradients[id(weight)] for weight in weights]
        return loss, self.optimizer.get_unscaled_gradients(ordered) if scaled else ordered


def make_step(model: Template, config: TrainingConfig, steps_per_dispatch: int = 1) -> TrainingStep:
    """Makes the training step of a template, with its optimisers and their state.

    Args:
      model: the template, with all its variables.
      config: the `training` section.
      steps_per_dispatch: steps that `fit` makes for one call of its function.

    Returns:
      The step, compiled.
    """
    step = TrainingStep(model, config.workers, config.accumulation)
    step.compile(optimizer=_optimizer(model, config), steps_per_execution=steps_per_dispatch)
    step.optimizer.build(model.trainable_variables)
    return step


def _optimizer(model: Template, config: TrainingConfig) -> tf_keras.optimizers.Optimizer:
    tables = {
        group.name: (
            make_optimizer(group.optimizer),
            model.embedding.group_tables[group.name].shards,
        )
        for group in model.embedding.groups
    }
    optimizer = GroupedOptimizer(tables, make_optimizer(config.optimizers.dense))
    if config.precision == "mixed_float16":
        return tf_keras.mixed_precision.LossScaleOptimizer(optimizer)
    return optimizer


def _cut(inputs: Batch, parts: int) -> list[Batch]:
    """Cuts a batch into equal parts; what stands beside it has another length."""
    if parts == 1:
        return [inputs]
    sizes = {name: _rows(column) // parts for name, column in inputs.items()}
    return [
        {
            name: column[part * sizes[name] : (part + 1) * sizes[name]]
            for name, column in inputs.items()
        }
        for part in range(parts)
    ]


def _rows(column: tf.Tensor | tf.RaggedTensor) -> tf.Tensor:
    return column.nrows() if isinstance(column, tf.RaggedTensor) else tf.shape(column, tf.int64)[0]


def _mean(parts: Sequence[Gradient]) -> Gradient:
    """The mean of the gradients of a batch's parts; a weight that was not used has none."""
    there = [gradient for gradient in parts if gradient is not None]
    if len(parts) == 1 or not there:
        return parts[0]
    if isinstance(there[0], tf.IndexedSlices):
        return tf.IndexedSlices(
            tf.concat([gradient.values for gradient in there], 0) / len(parts),
            tf.concat([gradient.indices for gradient in there], 0),
            there[0].dense_shape,
        )
    return tf.add_n(there) / len(parts)
