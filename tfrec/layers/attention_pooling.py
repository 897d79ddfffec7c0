"""One vector for a list of vectors, in which a network decides what counts."""

import tensorflow as tf
import tf_keras


class AttentionPooling(tf_keras.layers.Layer):
    """Means of lists of vectors, weighted by what the vectors are like.

        u_i = tanh(W x_i + b)
        a_i = exp(u_i . c) / sum over the list of exp(u_j . c)
        pooled = sum over the list of a_i x_i

    `W`, `b` and `c` are learned.

    Example:
      >>> recent = tf.ragged.constant([[[1.0, 2.0], [3.0, 4.0]], []], ragged_rank=1)
      >>> tfrec.layers.AttentionPooling(units=16)(recent).shape
      TensorShape([2, 2])

    Source: Yang et al., Hierarchical attention networks for document classification, NAACL 2016.
    """

    def __init__(self, units: int, name: str | None = None) -> None:
        """Describes the network: `units` floats in each `u`."""
        super().__init__(name=name)
        self._hidden = tf_keras.layers.Dense(units, activation="tanh")
        self._score = tf_keras.layers.Dense(1, use_bias=False)

    def call(self, lists: tf.RaggedTensor) -> tf.Tensor:
        """Pools lists, without padding them.

        Args:
          lists: ragged `[batch, values, dim]`.

        Returns:
          `[batch, dim]`; zeros for an empty list.
        """
        values, owner = lists.flat_values, lists.value_rowids()  # [n, dim], [n]
        scores = tf.cast(self._score(self._hidden(values)), tf.float32)  # [n, 1]
        weights = tf.cast(_softmax(scores, owner, lists.nrows()), values.dtype)
        return tf.math.unsorted_segment_sum(weights * values, owner, lists.nrows())


def _softmax(scores: tf.Tensor, owner: tf.Tensor, lists: tf.Tensor) -> tf.Tensor:
    """Softmax of `[n, 1]` scores among those of the same owner."""
    highest = tf.math.unsorted_segment_max(scores, owner, lists)
    powers = tf.exp(scores - tf.stop_gradient(tf.gather(highest, owner)))
    return powers / tf.gather(tf.math.unsorted_segment_sum(powers, owner, lists), owner)
