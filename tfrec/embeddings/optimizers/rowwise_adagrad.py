"""Adagrad with one accumulator per row."""

from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from tfrec.embeddings.optimizers.sparse import LearningRate, Slot, SparseOptimizer


class RowwiseAdagrad(SparseOptimizer):
    """Adagrad that keeps one float per row.

        a <- a + mean(g ^ 2)
        w <- w - learning_rate * g / sqrt(a)

    with the mean over the row. The accumulator's start, which is above 0, is what others add to it
    as epsilon.

    Source: Gupta, Bengio and Weston, Training highly multiclass classifiers, JMLR 2014.
    """

    def __init__(
        self, learning_rate: LearningRate, initial_accumulator: float = 1e-8, **common: Any
    ) -> None:
        """Takes the accumulator's start besides what every `SparseOptimizer` takes."""
        super().__init__(learning_rate, **common)
        self._initial_accumulator = initial_accumulator

    def slots(self) -> dict[str, Slot]:
        """Needs an accumulator."""
        return {"accumulator": Slot(self._initial_accumulator, per_row=True)}

    def step(
        self,
        gradient: tf.Tensor,
        state: Mapping[str, tf.Tensor],
        weights: Callable[[], tf.Tensor],
    ) -> tuple[tf.Tensor, Mapping[str, tf.Tensor]]:
        """Divides the gradient by the root of its row's mean squares so far."""
        row = list(range(1, gradient.shape.rank))
        squared = tf.reduce_mean(tf.square(gradient), row, keepdims=True)  # [rows, 1...]
        accumulator = state["accumulator"] + squared
        change = self.rate(gradient.dtype) * tf.math.rsqrt(accumulator) * gradient
        return change, {"accumulator": accumulator}

    def get_config(self) -> dict[str, object]:
        """Returns the arguments of the constructor."""
        return {**super().get_config(), "initial_accumulator": self._initial_accumulator}
