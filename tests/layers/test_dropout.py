import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from tfrec.layers import Dropout


def test_a_share_is_dropped_and_the_rest_grows_so_that_the_mean_stays() -> None:
    inputs = tf.random.stateless_uniform([200, 100], [0, 1], 0.5, 1.5)

    dropped = Dropout(0.25)(inputs, training=True).numpy()

    assert (dropped == 0).mean() == pytest.approx(0.25, abs=0.01)
    kept = dropped != 0
    np.testing.assert_allclose(dropped[kept], inputs.numpy()[kept] / 0.75, rtol=1e-6)


def test_the_same_inputs_lose_the_same_values_and_others_do_not() -> None:
    one = tf.random.stateless_normal([50, 8], [0, 1])
    layer, another = Dropout(0.5), Dropout(0.5)

    first, again = layer(one, training=True), another(one, training=True)
    other = layer(one + 1e-3, training=True)

    np.testing.assert_array_equal(first, again)
    assert ((first.numpy() == 0) != (other.numpy() == 0)).mean() > 0.3


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_stays(policy: str) -> None:
    tf_keras.mixed_precision.set_global_policy(policy)
    try:
        layer = Dropout(0.5)
    finally:
        tf_keras.mixed_precision.set_global_policy("float32")

    assert layer(tf.ones([4, 4]), training=True).dtype == policy.removeprefix("mixed_")


def test_nothing_is_dropped_when_nothing_is_learned() -> None:
    inputs = tf.ones([3, 3])

    assert Dropout(0.5)(inputs) is inputs
    assert Dropout(0.0)(inputs, training=True) is inputs
