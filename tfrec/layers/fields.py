"""A vector of the same width for each feature."""

from collections.abc import Sequence

import tensorflow as tf
import tf_keras


class Fields(tf_keras.layers.Layer):
    """Stacks embedded features; numbers and vectors are brought to the width of the others.

    field of a row of a table = the row        field of numbers x = W x
    """

    def __init__(self, width: int, numbers: Sequence[str], name: str | None = None) -> None:
        """Makes the projections.

        Args:
          width: floats of a field.
          numbers: the features that come from no table.
          name: of the layer.
        """
        super().__init__(name=name)
        self._projections = {
            feature: tf_keras.layers.Dense(width, use_bias=False) for feature in numbers
        }

    def call(self, embedded: dict[str, tf.Tensor]) -> tf.Tensor:
        """Maps name -> `[batch, floats]` to `[batch, fields, width]`, in the order of the names."""
        return tf.stack(
            [
                self._projections[name](column) if name in self._projections else column
                for name, column in sorted(embedded.items())
            ],
            1,
        )
