"""Gradient descent."""

from collections.abc import Callable, Mapping

import tensorflow as tf

from tfrec.embeddings.optimizers.sparse import Slot, SparseOptimizer


class Sgd(SparseOptimizer):
    """Plain gradient descent, without any state.

    w <- w - learning_rate * g
    """

    def slots(self) -> dict[str, Slot]:
        """Needs none."""
        return {}

    def step(
        self,
        gradient: tf.Tensor,
        state: Mapping[str, tf.Tensor],
        weights: Callable[[], tf.Tensor],
    ) -> tuple[tf.Tensor, Mapping[str, tf.Tensor]]:
        """Follows the gradient."""
        return self.rate(gradient.dtype) * gradient, {}
