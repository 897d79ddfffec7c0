"""A learned vector for each place in a list, counted from its end."""

import tensorflow as tf
import tf_keras


class RecentPositions(tf_keras.layers.Layer):
    """Adds to each value of a list what its distance from the list's end has learned.

        y_j = x_j + p_(length - 1 - j)

    The last value of every list has the same vector, however long the list is. Values further from
    the end than the longest list of training take the vector of the furthest place.

    Source: Kang and McAuley, Self-Attentive Sequential Recommendation, ICDM 2018, whose sequences
    are padded in front, so that they end at the same place too.
    """

    def __init__(self, places: int, name: str | None = None) -> None:
        """Describes the vectors: `places` of them."""
        super().__init__(name=name)
        self._places = places

    def build(self, shape: tf.TensorShape) -> None:
        """Makes the vectors, near zero."""
        self._vectors = self.add_weight(
            "positions",
            [self._places, shape[-1]],
            initializer=tf_keras.initializers.RandomUniform(-0.05, 0.05),
        )
        super().build(shape)

    def call(self, values: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
        """Adds the vectors.

        Args:
          values: `[batch, longest, dim]`, lists padded behind.
          lengths: `[batch]` int64.

        Returns:
          `[batch, longest, dim]`.
        """
        places = tf.range(tf.shape(values)[1], dtype=lengths.dtype)
        from_end = lengths[:, tf.newaxis] - 1 - places  # [batch, longest]
        vectors = tf.cast(self._vectors, values.dtype)
        return values + tf.gather(vectors, tf.clip_by_value(from_end, 0, self._places - 1))
