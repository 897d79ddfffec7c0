"""Experts that several tasks share, each task mixing them in its own way."""

from collections.abc import Sequence

import tensorflow as tf
import tf_keras

from tfrec.layers.mlp import mlp


class MultiGateExperts(tf_keras.layers.Layer):
    """A mixture of expert networks for each task.

        g_k = softmax(W_k x)        output of task k = sum_e g_ke expert_e(x)

    Source: Ma et al., Modeling Task Relationships in Multi-task Learning with Multi-gate
    Mixture-of-Experts, KDD 2018.
    """

    def __init__(
        self,
        tasks: Sequence[str],
        experts: int,
        hidden: Sequence[int],
        dropout: float = 0.0,
        name: str | None = None,
    ) -> None:
        """Makes experts and gates.

        Args:
          tasks: names of the tasks.
          experts: number of experts.
          hidden: units of each expert's layers.
          dropout: share of their activations dropped in training.
          name: of the layer.
        """
        super().__init__(name=name)
        self._experts = [mlp(hidden, dropout=dropout) for _ in range(experts)]
        self._gates = {task: tf_keras.layers.Dense(experts, use_bias=False) for task in tasks}

    def call(self, inputs: tf.Tensor, training: bool = False) -> dict[str, tf.Tensor]:
        """Maps `[batch, any]` to task -> `[batch, hidden[-1]]`."""
        outputs = [expert(inputs, training=training) for expert in self._experts]
        return {task: mixed(outputs, gate(inputs)) for task, gate in self._gates.items()}


def mixed(outputs: Sequence[tf.Tensor], logits: tf.Tensor) -> tf.Tensor:
    """Mixes the outputs of experts.

    Args:
      outputs: `[batch, units]` of each expert.
      logits: `[batch, experts]`; their softmax is each expert's share.

    Returns:
      `[batch, units]`.
    """
    shares = tf.cast(tf.nn.softmax(tf.cast(logits, tf.float32)), outputs[0].dtype)
    return tf.einsum("be,beu->bu", shares, tf.stack(outputs, 1))
