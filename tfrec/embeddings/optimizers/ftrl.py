"""Follow the regularised leader."""

from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from tfrec.embeddings.optimizers.sparse import LearningRate, Slot, SparseOptimizer


class Ftrl(SparseOptimizer):
    """FTRL-Proximal: a weight is exactly zero until its gradients outweigh `l1`.

        a' = a + g ^ 2
        z <- z + g - (sqrt(a') - sqrt(a)) / learning_rate * w
        w <- (clip(z, -l1, l1) - z) / (sqrt(a') / learning_rate + 2 * l2)
        a <- a'

    Source: McMahan et al., Ad click prediction: a view from the trenches, KDD 2013.
    """

    def __init__(
        self,
        learning_rate: LearningRate,
        initial_accumulator: float = 0.1,
        l1: float = 0.0,
        l2: float = 0.0,
        **common: Any,
    ) -> None:
        """Takes FTRL's own arguments besides what every `SparseOptimizer` takes."""
        super().__init__(learning_rate, **common)
        self._initial_accumulator, self._l1, self._l2 = initial_accumulator, l1, l2

    def slots(self) -> dict[str, Slot]:
        """Needs an accumulator and the linear term `z`."""
        return {"accumulator": Slot(self._initial_accumulator), "linear": Slot()}

    def step(
        self,
        gradient: tf.Tensor,
        state: Mapping[str, tf.Tensor],
        weights: Callable[[], tf.Tensor],
    ) -> tuple[tf.Tensor, Mapping[str, tf.Tensor]]:
        """Moves to the minimum of what the gradients so far say, regularised."""
        rate, old = self.rate(gradient.dtype), weights()
        accumulator = state["accumulator"] + tf.square(gradient)
        root = tf.sqrt(accumulator)
        z = state["linear"] + gradient - (root - tf.sqrt(state["accumulator"])) / rate * old
        new = (tf.clip_by_value(z, -self._l1, self._l1) - z) / (root / rate + 2 * self._l2)
        return old - new, {"accumulator": accumulator, "linear": z}

    def get_config(self) -> dict[str, object]:
        """Returns the arguments of the constructor."""
        own = {
            "initial_accumulator": self._initial_accumulator,
            "l1": self._l1,
            "l2": self._l2,
        }
        return {**super().get_config(), **own}
