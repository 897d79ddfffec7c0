import numpy as np
import pytest
import tensorflow as tf

from tfrec.embeddings.pooling import Pooling, owning_rows, pool

ROWS = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
LISTS = [[4, 4, 1], [], [0], [2, 3]]
PLAIN = {
    "mean": lambda rows: rows.mean(axis=0),
    "sum": lambda rows: rows.sum(axis=0),
    "sqrt_n": lambda rows: rows.sum(axis=0) / np.sqrt(len(rows)),
}


@pytest.mark.parametrize("pooling", ["mean", "sum", "sqrt_n"])
def test_lists_are_pooled_as_a_plain_recomputation_pools_them(pooling: Pooling) -> None:
    pooled = pool(tf.constant(ROWS), tf.ragged.constant(LISTS), pooling)

    expected = [PLAIN[pooling](ROWS[rows]) if rows else np.zeros(3) for rows in LISTS]
    np.testing.assert_allclose(pooled, expected, rtol=1e-6)


@pytest.mark.parametrize("pooling", ["mean", "sum", "sqrt_n"])
def test_gradient_equals_a_plain_recomputation(pooling: Pooling) -> None:
    rows, upstream = tf.constant(ROWS), np.arange(12, dtype=np.float32).reshape(4, 3)
    with tf.GradientTape() as tape:
        tape.watch(rows)
        pooled = pool(rows, tf.ragged.constant(LISTS), pooling)
        total = tf.reduce_sum(pooled * upstream)

    gradient = tf.convert_to_tensor(tape.gradient(total, rows)).numpy()

    expected = np.zeros_like(ROWS)
    for each, members in zip(upstream, LISTS, strict=True):
        for member in members:
            expected[member] += each * PLAIN[pooling](np.ones([len(members), 1])) / len(members)
    np.testing.assert_allclose(gradient, expected, rtol=1e-6)


def test_half_precision_is_kept() -> None:
    pooled = pool(tf.constant(ROWS, tf.bfloat16), tf.ragged.constant(LISTS), "mean")

    assert pooled.dtype == tf.bfloat16


@pytest.mark.parametrize("lengths", [[], [0], [0, 0], [1], [2, 0, 3], [0, 2, 0, 0]])
@pytest.mark.parametrize("dtype", [tf.int32, tf.int64])
def test_values_know_the_row_of_their_list(lengths: list[int], dtype: tf.DType) -> None:
    values = tf.zeros([sum(lengths), 2])
    lists = tf.RaggedTensor.from_row_lengths(values, tf.constant(lengths, dtype))

    rows = owning_rows(lists)

    expected = [row for row, length in enumerate(lengths) for _ in range(length)]
    assert rows.numpy().tolist() == expected
    assert rows.dtype == dtype
