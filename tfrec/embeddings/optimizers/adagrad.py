"""Adagrad."""

from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from tfrec.embeddings.optimizers.sparse import LearningRate, Slot, SparseOptimizer


class Adagrad(SparseOptimizer):
    """Adagrad: the more a float has moved, the shorter its steps.

        a <- a + g ^ 2
        w <- w - learning_rate * g / sqrt(a)

    The accumulator's start, which is above 0, is what others add to it as epsilon.

    Source: Duchi, Hazan and Singer, Adaptive subgradient methods for online learning and stochastic
    optimization, JMLR 2011.
    """

    def __init__(
        self, learning_rate: LearningRate, initial_accumulator: float = 1e-8, **common: Any
    ) -> None:
        """Takes the accumulator's start besides what every `SparseOptimizer` takes."""
        super().__init__(learning_rate, **common)
        self._initial_accumulator = initial_accumulator

    def slots(self) -> dict[str, Slot]:
        """Needs an accumulator."""
        return {"accumulator": Slot(self._initial_accumulator)}

    def step(
        self,
        gradient: tf.Tensor,
        state: Mapping[str, tf.Tensor],
        weights: Callable[[], tf.Tensor],
    ) -> tuple[tf.Tensor, Mapping[str, tf.Tensor]]:
        """Divides the gradient by the root of the squares so far."""
        accumulator = state["accumulator"] + tf.square(gradient)
        change = self.rate(gradient.dtype) * gradient * tf.math.rsqrt(accumulator)
        return change, {"accumulator": accumulator}

    def get_config(self) -> dict[str, object]:
        """Returns the arguments of the constructor."""
        return {**super().get_config(), "initial_accumulator": self._initial_accumulator}
