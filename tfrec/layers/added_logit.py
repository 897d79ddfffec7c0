"""The head of a sum of two models, one of which speaks in logits already."""

import tensorflow as tf
import tf_keras


class AddedLogit(tf_keras.layers.Layer):
    """Adds a linear function of a vector to a logit that comes with it.

        y = x_0 + w . (x_1, x_2, ...) + b

    Source: Cheng et al., Wide & Deep Learning for Recommender Systems, DLRS 2016, whose two parts
    are trained by the loss of their sum.
    """

    def __init__(self, name: str | None = None) -> None:
        """Makes the linear part."""
        super().__init__(name=name, dtype="float32")
        self._linear = tf_keras.layers.Dense(1, dtype="float32")

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Maps `[batch, 1 + any]` to `[batch, 1]` float32."""
        return inputs[:, :1] + self._linear(inputs[:, 1:])
