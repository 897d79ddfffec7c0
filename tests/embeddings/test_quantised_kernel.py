import numpy as np
import pytest
import tensorflow as tf
from rounded_by_hand import weights

from tfrec.embeddings.quantised import quantise
from tfrec.embeddings.quantised_kernel import QuantisedKernel


@pytest.mark.parametrize("precision", ["float16", "int8"])
def test_kernel_is_a_tensor_wherever_one_is_taken(precision):
    kernel = weights(6, 4)
    quantised = QuantisedKernel(tf.Variable(kernel), precision, "float32")

    values, scales = quantise(kernel, precision, axis=-1)
    expected = values.astype(np.float32) * (1 if scales is None else scales)
    x = np.random.default_rng(1).normal(size=(3, 6)).astype(np.float32)
    multiply = tf.function(lambda x: tf.matmul(x, quantised))
    np.testing.assert_allclose(multiply(x), x @ expected, rtol=1e-5)
    np.testing.assert_array_equal(tf.cast(quantised, tf.float32), expected)
    assert quantised.shape == (6, 4)
