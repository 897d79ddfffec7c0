from collections.abc import Callable

import numpy as np
import tf_keras

from tfrec.embeddings.optimizers.ftrl import Ftrl


def test_steps_equal_a_plain_recomputation(
    train: Callable, table: np.ndarray, batches: list
) -> None:
    expected = table.astype(float)
    accumulator, z = np.full(table.shape, 0.1), np.zeros(table.shape)
    for rows, gradient in batches:
        for row, g in zip(rows, gradient.astype(float), strict=True):
            grown = accumulator[row] + g**2
            z[row] += g - (np.sqrt(grown) - np.sqrt(accumulator[row])) / 0.3 * expected[row]
            over = np.where(np.abs(z[row]) > 0.5, np.sign(z[row]) * 0.5 - z[row], 0)
            expected[row] = over / (np.sqrt(grown) / 0.3 + 2 * 0.2)
            accumulator[row] = grown

    moved = train(Ftrl(0.3, l1=0.5, l2=0.2), table, batches)

    np.testing.assert_allclose(moved, expected, rtol=1e-4, atol=1e-5)


def test_equals_dense_ftrl_where_every_row_is_in_every_batch(
    train: Callable, train_densely: Callable, table: np.ndarray, full_batches: list
) -> None:
    dense = tf_keras.optimizers.Ftrl(
        0.3, l1_regularization_strength=0.5, l2_regularization_strength=0.2
    )

    moved = train(Ftrl(0.3, l1=0.5, l2=0.2), table, full_batches)

    np.testing.assert_allclose(
        moved, train_densely(dense, table, full_batches), rtol=1e-4, atol=1e-5
    )


def test_gradients_below_l1_leave_exact_zeros(
    train: Callable, table: np.ndarray, full_batches: list
) -> None:
    moved = train(Ftrl(0.3, l1=100.0), table, full_batches)

    np.testing.assert_array_equal(moved, np.zeros_like(table))
