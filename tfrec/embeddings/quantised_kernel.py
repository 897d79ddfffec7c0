"""The kernel of a trained dense layer in fewer bytes."""

from typing import Any

import tensorflow as tf

from tfrec.embeddings.quantised import Precision, dequantise, quantise


class QuantisedKernel(tf.Module):
    """Stands in the place of a layer's variable: wherever a tensor is taken, it is one.

    In bytes each output has a scale of its own. A run of the graph converts the whole kernel, which
    other than a table it needs as a whole.
    """

    def __init__(self, kernel: tf.Variable, precision: Precision, dtype: str) -> None:
        """Takes the values of a variable; they are used as `dtype`."""
        super().__init__()
        values, scales = quantise(kernel.numpy(), precision, axis=-1)
        self._values = tf.Variable(values, trainable=False, name="kernel")
        self._scales = None if scales is None else tf.Variable(scales, trainable=False)
        self.dtype = tf.as_dtype(dtype)

    @property
    def shape(self) -> tf.TensorShape:
        """That of the kernel."""
        return self._values.shape

    def __tf_tensor__(self, dtype: Any = None, name: str | None = None) -> tf.Tensor:
        """Is what TensorFlow asks for when it needs a tensor."""
        kernel = dequantise(self._values, self._scales)
        return tf.cast(kernel, dtype or self.dtype, name=name)
