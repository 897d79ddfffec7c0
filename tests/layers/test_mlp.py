import numpy as np
import pytest
import tensorflow as tf

from tfrec.layers import mlp


def test_layers_equal_a_plain_recomputation() -> None:
    network = mlp([5, 4], output_dim=3, dropout=0.5)
    inputs = np.random.default_rng(0).normal(size=(6, 2)).astype(np.float32)

    outputs = network(tf.constant(inputs))

    first, first_bias, second, second_bias, last, last_bias = network.get_weights()
    hidden = np.maximum(inputs @ first + first_bias, 0)
    hidden = np.maximum(hidden @ second + second_bias, 0)
    np.testing.assert_allclose(outputs, hidden @ last + last_bias, rtol=1e-4, atol=1e-6)


def test_no_hidden_layer_makes_a_linear_projection() -> None:
    network = mlp([], output_dim=3)
    x, y = tf.random.stateless_normal([2, 1, 5], seed=[0, 1])

    np.testing.assert_allclose(network(2 * x - y), 2 * network(x) - network(y), rtol=1e-4)
    assert len(network.get_weights()) == 2


def test_about_the_dropout_share_of_hidden_values_is_dropped_in_training_only() -> None:
    tf.random.set_seed(0)
    network = mlp([1], output_dim=1, dropout=0.25)
    ones = tf.ones([4000, 1])
    network(ones)
    network.set_weights([np.ones([1, 1]), np.zeros(1), np.ones([1, 1]), np.zeros(1)])

    trained = network(ones, training=True).numpy()

    assert (trained == 0).mean() == pytest.approx(0.25, abs=0.03)
    assert trained.max() == pytest.approx(1 / 0.75)
    assert (network(ones).numpy() == 1).all()
