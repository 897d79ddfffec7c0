"""Weights whose rows differ widely in length, and what rounding makes of a row."""

import numpy as np


def weights(*shape: int) -> np.ndarray:
    """Rows, and columns, of very different lengths; one row is zero."""
    random = np.random.default_rng(0)
    drawn = random.normal(size=shape) * 10.0 ** random.integers(-4, 3, size=(shape[0], 1))
    drawn[1] = 0
    return drawn.astype(np.float32)


def by_hand(row: np.ndarray) -> tuple[list[int], float]:
    """A row in steps of a 127th of its longest value."""
    scale = max(abs(float(value)) for value in row) / 127
    return [round(float(value) / scale) if scale else 0 for value in row], scale
