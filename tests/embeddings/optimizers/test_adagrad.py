from collections.abc import Callable

import numpy as np
import tf_keras

from tfrec.embeddings.optimizers.adagrad import Adagrad


def test_steps_equal_a_plain_recomputation(
    train: Callable, table: np.ndarray, batches: list
) -> None:
    expected, accumulator = table.astype(float), np.full(table.shape, 0.2)
    for rows, gradient in batches:
        for row, g in zip(rows, gradient, strict=True):
            accumulator[row] += g**2
            expected[row] -= 0.3 * g / np.sqrt(accumulator[row])

    moved = train(Adagrad(0.3, initial_accumulator=0.2), table, batches)

    np.testing.assert_allclose(moved, expected, rtol=1e-5)


def test_equals_dense_adagrad_on_any_rows(
    train: Callable, train_densely: Callable, table: np.ndarray, batches: list
) -> None:
    dense = tf_keras.optimizers.Adagrad(0.3, initial_accumulator_value=0.2, epsilon=0)

    moved = train(Adagrad(0.3, initial_accumulator=0.2), table, batches)

    np.testing.assert_allclose(moved, train_densely(dense, table, batches), rtol=1e-5)


def test_gradient_of_zero_moves_nothing_at_the_smallest_start(
    train: Callable, table: np.ndarray
) -> None:
    still = [(np.array([4]), np.zeros([1, 3], np.float32))]

    np.testing.assert_array_equal(train(Adagrad(0.3), table, still), table)
