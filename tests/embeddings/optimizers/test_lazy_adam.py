from collections.abc import Callable

import numpy as np
import tf_keras

from tfrec.embeddings.optimizers.lazy_adam import LazyAdam


def test_steps_equal_a_plain_recomputation(
    train: Callable, table: np.ndarray, batches: list
) -> None:
    expected, m, v = table.astype(float), np.zeros(table.shape), np.zeros(table.shape)
    for step, (rows, gradient) in enumerate(batches, 1):
        for row, g in zip(rows, gradient, strict=True):
            m[row] = 0.8 * m[row] + 0.2 * g
            v[row] = 0.95 * v[row] + 0.05 * g.astype(float) ** 2
            rate = 0.3 * np.sqrt(1 - 0.95**step) / (1 - 0.8**step)
            expected[row] -= rate * m[row] / (np.sqrt(v[row]) + 1e-3)

    moved = train(LazyAdam(0.3, beta_1=0.8, beta_2=0.95, epsilon=1e-3), table, batches)

    np.testing.assert_allclose(moved, expected, rtol=1e-4, atol=1e-5)


def test_equals_adam_where_every_row_is_in_every_batch(
    train: Callable, train_densely: Callable, table: np.ndarray, full_batches: list
) -> None:
    dense = train_densely(tf_keras.optimizers.Adam(0.3), table, full_batches)

    np.testing.assert_allclose(train(LazyAdam(0.3), table, full_batches), dense, atol=1e-5)


def test_row_outside_the_batch_stays_where_adam_would_move_it_on(
    train: Callable, train_densely: Callable, table: np.ndarray, batches: list
) -> None:
    (row, *_), _ = batches[0]
    others = [rows[rows != row] for rows, _ in batches[1:]]
    later = [(rows, np.ones([len(rows), 3], np.float32)) for rows in others]

    lazy = train(LazyAdam(0.3), table, [batches[0], *later])
    dense = train_densely(tf_keras.optimizers.Adam(0.3), table, [batches[0], *later])

    np.testing.assert_array_equal(lazy[row], train(LazyAdam(0.3), table, batches[:1])[row])
    assert (np.abs(dense[row] - lazy[row]) > 0.1).all()
