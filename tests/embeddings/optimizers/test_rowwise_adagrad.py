from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tfrec.embeddings.optimizers.adagrad import Adagrad
from tfrec.embeddings.optimizers.rowwise_adagrad import RowwiseAdagrad


def test_steps_equal_a_plain_recomputation(
    train: Callable, table: np.ndarray, batches: list
) -> None:
    expected, accumulator = table.astype(float), np.full(len(table), 0.2)
    for rows, gradient in batches:
        for row, g in zip(rows, gradient, strict=True):
            accumulator[row] += np.mean(g.astype(float) ** 2)
            expected[row] -= 0.3 * g / np.sqrt(accumulator[row])

    moved = train(RowwiseAdagrad(0.3, initial_accumulator=0.2), table, batches)

    np.testing.assert_allclose(moved, expected, rtol=1e-5)


def test_equals_adagrad_where_a_row_is_one_float(
    train: Callable, table: np.ndarray, batches: list
) -> None:
    narrow = [(rows, gradient[:, :1]) for rows, gradient in batches]

    rowwise = train(RowwiseAdagrad(0.3), table[:, :1], narrow)

    np.testing.assert_allclose(rowwise, train(Adagrad(0.3), table[:, :1], narrow), rtol=1e-5)


def test_state_is_one_float_per_row() -> None:
    optimizer = RowwiseAdagrad(0.3)

    optimizer.build([tf.Variable(tf.zeros([5, 7])), tf.Variable(tf.zeros([5]))])

    assert [slot.shape.num_elements() for slot in optimizer.variables[1:]] == [5, 5]
