"""Tasks that share all layers but their towers."""

import tensorflow as tf
import tf_keras

from tfrec.models.multi_task.multi_task import MultiTask


class SharedBottom(MultiTask):
    """Gives every task the same shared layers.

        x_k = bottom([features]) for all tasks k

    Source: Caruana, Multitask Learning, Machine Learning 1997.
    """

    def experts(self) -> tf_keras.layers.Layer:
        """Makes the one network, `network`, of all tasks."""
        return _ForEach(list(self.tasks), self.network())


class _ForEach(tf_keras.layers.Layer):
    def __init__(self, tasks: list[str], network: tf_keras.Model) -> None:
        super().__init__()
        self._tasks, self._network = tasks, network

    def call(self, inputs: tf.Tensor, training: bool = False) -> dict[str, tf.Tensor]:
        return dict.fromkeys(self._tasks, self._network(inputs, training=training))
