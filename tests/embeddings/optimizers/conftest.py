"""Batches of gradients, and what an optimiser makes of them."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

ROWS, DIM, STEPS = 11, 3, 6

Batch = tuple[np.ndarray, np.ndarray]
"""Distinct rows `[n]` and their gradients `[n, dim]`."""
Train = Callable[[tf_keras.optimizers.Optimizer, np.ndarray, Sequence[Batch]], np.ndarray]


@pytest.fixture
def table() -> np.ndarray:
    return np.random.default_rng(1).normal(size=[ROWS, DIM]).astype(np.float32)


@pytest.fixture
def batches() -> list[Batch]:
    """Some rows, never the last, in each step."""
    random = np.random.default_rng(2)
    rows = [random.choice(ROWS - 1, size=random.integers(1, ROWS), replace=False)] * 2
    rows += [random.choice(ROWS - 1, size=4, replace=False) for _ in range(STEPS - 2)]
    return [(each, random.normal(size=[len(each), DIM]).astype(np.float32)) for each in rows]


@pytest.fixture
def full_batches() -> list[Batch]:
    """All rows in each step, in another order each time."""
    random = np.random.default_rng(3)
    return [
        (random.permutation(ROWS), random.normal(size=[ROWS, DIM]).astype(np.float32))
        for _ in range(STEPS)
    ]


@pytest.fixture
def train() -> Train:
    """Applies batches as sparse gradients and gives the table they leave."""

    def apply(
        optimizer: tf_keras.optimizers.Optimizer, table: np.ndarray, batches: Sequence[Batch]
    ) -> np.ndarray:
        variable = tf.Variable(table)
        for rows, gradient in batches:
            optimizer.apply_gradients([(tf.IndexedSlices(gradient, rows), variable)])
        return variable.numpy()

    return apply


@pytest.fixture
def train_densely() -> Train:
    """Applies batches as dense gradients, zero where a row is in none."""

    def apply(
        optimizer: tf_keras.optimizers.Optimizer, table: np.ndarray, batches: Sequence[Batch]
    ) -> np.ndarray:
        variable = tf.Variable(table)
        for rows, gradient in batches:
            dense = np.zeros_like(table)
            dense[rows] = gradient
            optimizer.apply_gradients([(tf.constant(dense), variable)])
        return variable.numpy()

    return apply
