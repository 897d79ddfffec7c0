"""All features side by side."""

import tensorflow as tf
import tf_keras


class Joined(tf_keras.layers.Layer):
    """Joins embedded features into one vector, in the order of their names."""

    def call(self, embedded: dict[str, tf.Tensor]) -> tf.Tensor:
        """Maps name -> `[batch, floats]` to `[batch, floats of all]`."""
        return tf.concat([embedded[name] for name in sorted(embedded)], -1)
