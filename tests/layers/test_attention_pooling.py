import numpy as np
import pytest
import tensorflow as tf

from tfrec.layers import AttentionPooling

LISTS = [[[1.0, -2.0], [0.5, 3.0], [0.0, 1.0]], [], [[2.0, 2.0]], []]


def ragged(lists: list[list[list[float]]]) -> tf.RaggedTensor:
    return tf.ragged.constant(lists, tf.float32, ragged_rank=1, inner_shape=(2,))


def test_pooled_lists_equal_a_plain_recomputation() -> None:
    pooling = AttentionPooling(units=5)
    pooled = pooling(ragged(LISTS))
    weight, bias, context = (variable.numpy() for variable in pooling.weights)

    for values, found in zip(LISTS, pooled, strict=True):
        expected = np.zeros(2)
        if values:
            powers = [np.exp((np.tanh(x @ weight + bias) @ context)[0]) for x in np.array(values)]
            for power, x in zip(powers, np.array(values), strict=True):
                expected += power / sum(powers) * x
        np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_equal_vectors_and_single_ones_stay_what_they_are() -> None:
    pooled = AttentionPooling(units=3)(ragged([[[1.0, 2.0]] * 4, [[5.0, -1.0]]]))

    np.testing.assert_allclose(pooled, [[1.0, 2.0], [5.0, -1.0]], rtol=1e-6)


def test_only_empty_lists_give_zeros() -> None:
    empty = tf.RaggedTensor.from_row_lengths(tf.zeros([0, 2]), [0, 0, 0])

    np.testing.assert_array_equal(AttentionPooling(units=3)(empty), np.zeros([3, 2]))


def test_scores_of_any_size_stay_finite() -> None:
    pooling = AttentionPooling(units=1)
    pooling(ragged(LISTS))
    pooling.set_weights([np.array([[1.0], [0.0]]), np.zeros(1), np.array([[1e4]])])

    pooled = pooling(ragged([[[10.0, 1.0], [-10.0, 3.0]]]))

    np.testing.assert_allclose(pooled, [[10.0, 1.0]])


def test_attention_learns_to_find_what_counts() -> None:
    tf.random.set_seed(0)
    random = np.random.default_rng(0)
    marked = np.where(np.arange(4) == random.integers(4, size=[64, 1]), 1.0, 0.0)  # [64, 4]
    worth = random.normal(size=[64, 4])
    lists = tf.RaggedTensor.from_tensor(tf.constant(np.stack([marked, worth], -1), tf.float32))
    wanted = (marked * worth).sum(axis=1)
    pooling, optimizer = AttentionPooling(units=4), tf.keras.optimizers.Adam(0.1)

    def error() -> tf.Tensor:
        return tf.reduce_mean(tf.square(pooling(lists)[:, 1] - wanted))

    first = float(error())
    for _ in range(60):
        optimizer.minimize(error, pooling.trainable_variables)

    assert float(error()) < 0.1 * first


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_pools_as_well(dtype: str) -> None:
    pooling = AttentionPooling(units=3)
    exact = pooling(ragged(LISTS))
    rough = AttentionPooling(units=3)
    rough._set_dtype_policy(f"mixed_{dtype}")

    found = tf.cast(rough(tf.cast(ragged(LISTS), dtype)), tf.float32)

    assert found.shape == exact.shape
    np.testing.assert_array_equal(found[1], [0, 0])
