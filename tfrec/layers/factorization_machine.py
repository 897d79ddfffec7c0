"""Pairwise products of features, without visiting every pair."""

import tensorflow as tf
import tf_keras


class FactorizationMachine(tf_keras.layers.Layer):
    """Adds up the weights of fields and the dot products of each two of them.

        y = sum_i w_i + sum_{i<j} v_i . v_j
          = sum_i w_i + 1/2 sum_d ((sum_i v_id)^2 - sum_i v_id^2)

    A field is one row of floats: `w` is the first one and `v` are the others.

    Source: Rendle, Factorization Machines, ICDM 2010.
    """

    def __init__(self, name: str | None = None) -> None:
        """Has no variables; sums of many products need float32."""
        super().__init__(name=name, dtype="float32")

    def call(self, fields: tf.Tensor) -> tf.Tensor:
        """Maps `[batch, fields, 1 + dim]` to `[batch, 1]` float32."""
        weights, vectors = fields[:, :, 0], fields[:, :, 1:]
        square_of_sum = tf.square(tf.reduce_sum(vectors, 1))  # [batch, dim]
        sum_of_squares = tf.reduce_sum(tf.square(vectors), 1)
        pairs = 0.5 * tf.reduce_sum(square_of_sum - sum_of_squares, -1, keepdims=True)
        return tf.reduce_sum(weights, -1, keepdims=True) + pairs
