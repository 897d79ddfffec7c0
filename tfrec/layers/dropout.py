"""Dropout that training which goes on behind a checkpoint repeats."""

import tensorflow as tf
import tf_keras


class Dropout(tf_keras.layers.Layer):
    """Sets a share of its inputs to 0 in training, and divides the others by what is left.

    Which ones follows from the inputs themselves: the same weights and the same batch lose the same
    values, in a process of another age too. Keras' own layer draws from a counter of its process.

    Source: Srivastava et al., Dropout: A Simple Way to Prevent Neural Networks from Overfitting,
    JMLR 2014.
    """

    def __init__(self, rate: float, name: str | None = None) -> None:
        """Describes the layer: `rate` is the share to drop, in [0, 1)."""
        super().__init__(name=name)
        self.rate = rate

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Maps `inputs` to a tensor of the same shape and type."""
        if not training or not self.rate:
            return inputs
        bits = tf.bitcast(tf.cast(inputs, tf.float32), tf.int32)
        seed = tf.stack([tf.reduce_sum(bits), tf.reduce_sum(bits // 2**16)])
        return tf.nn.experimental.stateless_dropout(inputs, self.rate, seed)

    def get_config(self) -> dict[str, object]:
        """Returns the arguments of the constructor."""
        return {"rate": self.rate, "name": self.name}
