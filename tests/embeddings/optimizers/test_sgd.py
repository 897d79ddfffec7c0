from collections.abc import Callable

import numpy as np
import tf_keras

from tfrec.embeddings.optimizers.sgd import Sgd


def test_steps_equal_a_plain_recomputation(
    train: Callable, table: np.ndarray, batches: list
) -> None:
    expected = table.astype(float)
    for rows, gradient in batches:
        for row, g in zip(rows, gradient, strict=True):
            expected[row] -= 0.3 * g

    np.testing.assert_allclose(train(Sgd(0.3), table, batches), expected, rtol=1e-5)


def test_equals_dense_gradient_descent_on_any_rows(
    train: Callable, train_densely: Callable, table: np.ndarray, batches: list
) -> None:
    dense = train_densely(tf_keras.optimizers.SGD(0.3), table, batches)

    np.testing.assert_allclose(train(Sgd(0.3), table, batches), dense, rtol=1e-5)
