"""What the optimisers of tables have in common: a step touches the rows of its batch only."""

import abc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import tensorflow as tf
import tf_keras

from tfrec.embeddings.optimizers.distinct import sum_by_row

Gradient: TypeAlias = tf.Tensor | tf.IndexedSlices
LearningRate: TypeAlias = float | tf_keras.optimizers.schedules.LearningRateSchedule

LAST_STEP = "last_step"
"""Slot that says in which step a row last lost what decay takes; there if anything decays."""


@dataclass(frozen=True)
class Slot:
    """State that an optimiser keeps beside a variable.

    Attributes:
      start: its first value.
      per_row: whether it has one float per row, `[rows, 1...]`, instead of the variable's shape.
    """

    start: float = 0.0
    per_row: bool = False


class SparseOptimizer(tf_keras.optimizers.Optimizer):
    """Moves the rows that a gradient names, at a cost that does not depend on the others.

    A row is a slice of a variable along its first axis. A gradient's slices of the same row are
    summed, and the sum is shortened to the length `clip_norm`, before the row moves. A dense
    gradient names all rows.

    Weight decay is decoupled from the gradient, as in AdamW, and lazy: just before a row moves in
    step `t`, it loses at once what it would have lost since step `s`, when it last moved (0 if it
    never did),

        w <- (1 - learning_rate * weight_decay) ^ (t - s) * w

    with the learning rate of step `t`. Until then it is read as it was left. At a constant learning
    rate, whenever gradient descent has moved a row, the row is where it would be if all rows had
    decayed in every step.

    Source: Loshchilov and Hutter, Decoupled weight decay regularization, ICLR 2019.
    """

    def __init__(
        self,
        learning_rate: LearningRate,
        clip_norm: float | None = None,
        weight_decay: float = 0.0,
        name: str = "sparse",
    ) -> None:
        """Describes what every kind takes.

        Args:
          learning_rate: step size, or a schedule of it.
          clip_norm: longest gradient of a row; none for any length.
          weight_decay: share of a row, times the learning rate, that is lost in each step.
          name: of the optimiser.
        """
        # Clipping and decay of tf_keras itself would go through whole variables.
        super().__init__(name, weight_decay=None, jit_compile=False)
        self._learning_rate = self._build_learning_rate(learning_rate)
        self._clip_norm = clip_norm
        self._lazy_decay = weight_decay

    @abc.abstractmethod
    def slots(self) -> dict[str, Slot]:
        """Names the state that a variable needs."""

    @abc.abstractmethod
    def step(
        self,
        gradient: tf.Tensor,
        state: Mapping[str, tf.Tensor],
        weights: Callable[[], tf.Tensor],
    ) -> tuple[tf.Tensor, Mapping[str, tf.Tensor]]:
        """Computes how rows move.

        Args:
          gradient: `[rows, ...]`.
          state: name -> what the rows' slots hold, `[rows, ...]`.
          weights: reads the rows themselves, `[rows, ...]`.

        Returns:
          What to subtract from the rows, and what their slots hold then.
        """

    def all_slots(self) -> dict[str, Slot]:
        """Names the state that a variable has, in the order of a checkpoint."""
        decay = {LAST_STEP: Slot(per_row=True)} if self._lazy_decay else {}
        return {**self.slots(), **decay}

    def slots_of(self, variable: tf.Variable) -> Mapping[str, tf.Variable]:
        """The state beside a variable that this was built with, by name."""
        return self._slots[self._index_dict[self._var_key(variable)]]

    def rate(self, dtype: tf.DType) -> tf.Tensor:
        """The learning rate of this step."""
        return tf.cast(self.learning_rate, dtype)

    def build(self, var_list: Sequence[tf.Variable]) -> None:
        """Makes the slots of the variables, each on the server that holds its variable."""
        super().build(var_list)
        if getattr(self, "_built", False):
            return
        # Not tracked here: tf_keras tracks them itself, those of a variable's shards as one.
        self._slots = self._no_dependency([self._make_slots(variable) for variable in var_list])
        self._built = True

    def update_step(self, gradient: Gradient, variable: tf.Variable) -> None:
        """Moves the rows of a gradient, which are distinct, or all rows."""
        sparse = isinstance(gradient, tf.IndexedSlices)
        rows: _Rows = _SomeRows(gradient.indices) if sparse else _AllRows()
        slots = self.slots_of(variable)
        if LAST_STEP in slots:
            self._decay(variable, slots[LAST_STEP], rows)
        change, state = self.step(
            gradient.values if sparse else gradient,
            {name: rows.read(slot) for name, slot in slots.items()},
            lambda: rows.read(variable),
        )
        for name, values in state.items():
            rows.write(slots[name], values)
        # Other than writing them, subtracting keeps what another worker does at the same time.
        rows.subtract(variable, change)

    def reset(self, variable: tf.Variable, rows: tf.Tensor) -> None:
        """Makes the state of rows what it is before their first step.

        Args:
          variable: that this was built with.
          rows: `[rows]` int, each once.
        """
        starts = {name: slot.start for name, slot in self.all_slots().items()}
        starts[LAST_STEP] = self.iterations
        for name, slot in self.slots_of(variable).items():
            start = tf.cast(starts[name], slot.dtype)
            values = tf.fill([tf.size(rows), *slot.shape[1:]], start)
            slot.scatter_update(tf.IndexedSlices(values, rows))

    def get_config(self) -> dict[str, object]:
        """Returns the arguments of the constructor."""
        return {
            "name": self.name,
            "learning_rate": self._serialize_hyperparameter(self._learning_rate),
            "clip_norm": self._clip_norm,
            "weight_decay": self._lazy_decay,
        }

    def _deduplicate_sparse_grad(self, grads: Sequence[Gradient]) -> list[Gradient]:
        """Runs on the worker: servers get each row once, and are spared the sums."""
        return [self._clip(_distinct(gradient)) for gradient in grads]

    def _clip(self, gradient: Gradient) -> Gradient:
        if self._clip_norm is None:
            return gradient
        if isinstance(gradient, tf.IndexedSlices):
            return tf.IndexedSlices(self._clip(gradient.values), gradient.indices)
        return tf.clip_by_norm(gradient, self._clip_norm, list(range(1, gradient.shape.rank)))

    def _make_slots(self, variable: tf.Variable) -> dict[str, tf.Variable]:
        slots = self.all_slots()
        return {name: self._make_slot(variable, name, slot) for name, slot in slots.items()}

    def _make_slot(self, variable: tf.Variable, name: str, slot: Slot) -> tf.Variable:
        per_row = variable.shape[:1] + [1] * (variable.shape.rank - 1)
        shape = per_row if slot.per_row else variable.shape
        start = tf.constant(slot.start, variable.dtype)
        # A value in the place of the function would be made here and sent to the server.
        return self.add_variable_from_reference(
            variable, name, initial_value=lambda: tf.fill(shape, start)
        )

    def _decay(self, variable: tf.Variable, last_step: tf.Variable, rows: "_Rows") -> None:
        step, last = tf.cast(self.iterations + 1, variable.dtype), rows.read(last_step)
        # Of asynchronous workers, one may come after a later step of another.
        steps = tf.maximum(step - last, 0.0)  # [rows, 1...]
        lost = 1.0 - tf.pow(1.0 - self.rate(variable.dtype) * self._lazy_decay, steps)
        rows.subtract(variable, lost * rows.read(variable))
        rows.write(last_step, last + steps)


class _Rows(Protocol):
    """Which rows of a variable and of its slots a step reads and changes."""

    def read(self, variable: tf.Variable) -> tf.Tensor: ...

    def write(self, variable: tf.Variable, values: tf.Tensor) -> None: ...

    def subtract(self, variable: tf.Variable, values: tf.Tensor) -> None: ...


@dataclass(frozen=True)
class _SomeRows:
    rows: tf.Tensor

    def read(self, variable: tf.Variable) -> tf.Tensor:
        return tf.gather(variable, self.rows)

    def write(self, variable: tf.Variable, values: tf.Tensor) -> None:
        variable.scatter_update(tf.IndexedSlices(values, self.rows))

    def subtract(self, variable: tf.Variable, values: tf.Tensor) -> None:
        variable.scatter_sub(tf.IndexedSlices(values, self.rows))


class _AllRows:
    def read(self, variable: tf.Variable) -> tf.Tensor:
        return tf.convert_to_tensor(variable)

    def write(self, variable: tf.Variable, values: tf.Tensor) -> None:
        variable.assign(values)

    def subtract(self, variable: tf.Variable, values: tf.Tensor) -> None:
        variable.assign_sub(values)


def _distinct(gradient: Gradient) -> Gradient:
    return sum_by_row(gradient) if isinstance(gradient, tf.IndexedSlices) else gradient
