"""Adam for the rows of a batch."""

from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from tfrec.embeddings.optimizers.sparse import LearningRate, Slot, SparseOptimizer


class LazyAdam(SparseOptimizer):
    """Adam whose moments move only when their row is in the batch.

        m <- beta_1 * m + (1 - beta_1) * g
        v <- beta_2 * v + (1 - beta_2) * g ^ 2
        w <- w - learning_rate * sqrt(1 - beta_2 ^ t) / (1 - beta_1 ^ t) * m / (sqrt(v) + epsilon)

    in step `t`. A row that is in every batch moves as in Adam; one that is left out keeps its
    moments, which Adam would shrink, and stays where it is, while Adam would move it on.

    Source: Kingma and Ba, Adam: a method for stochastic optimization, ICLR 2015.
    """

    def __init__(
        self,
        learning_rate: LearningRate,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **common: Any,
    ) -> None:
        """Takes Adam's own arguments besides what every `SparseOptimizer` takes."""
        super().__init__(learning_rate, **common)
        self._beta_1, self._beta_2, self._epsilon = beta_1, beta_2, epsilon

    def slots(self) -> dict[str, Slot]:
        """Needs both moments."""
        return {"m": Slot(), "v": Slot()}

    def step(
        self,
        gradient: tf.Tensor,
        state: Mapping[str, tf.Tensor],
        weights: Callable[[], tf.Tensor],
    ) -> tuple[tf.Tensor, Mapping[str, tf.Tensor]]:
        """Divides the mean gradient by the root of the mean square."""
        m = state["m"] + (1 - self._beta_1) * (gradient - state["m"])
        v = state["v"] + (1 - self._beta_2) * (tf.square(gradient) - state["v"])
        change = self._corrected_rate(gradient.dtype) * m / (tf.sqrt(v) + self._epsilon)
        return change, {"m": m, "v": v}

    def get_config(self) -> dict[str, object]:
        """Returns the arguments of the constructor."""
        own = {"beta_1": self._beta_1, "beta_2": self._beta_2, "epsilon": self._epsilon}
        return {**super().get_config(), **own}

    def _corrected_rate(self, dtype: tf.DType) -> tf.Tensor:
        """Makes up for moments that started at zero."""
        t = tf.cast(self.iterations + 1, dtype)
        correction = tf.sqrt(1 - tf.pow(self._beta_2, t)) / (1 - tf.pow(self._beta_1, t))
        return self.rate(dtype) * correction
