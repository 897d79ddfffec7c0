"""Rows of a sparse matrix in dense blocks, so that NumPy works on many rows at once."""

from collections.abc import Iterator

import numpy as np
from scipy import sparse


def blocks(widths: np.ndarray, cells: int) -> Iterator[np.ndarray]:
    """Puts rows of about the same width together, the widest first.

    Args:
      widths: `[rows]`, how many cells each row needs; a row of none is left out.
      cells: the most that a block may have when all its rows are as wide as its widest; a row
        that alone needs more is a block of its own.

    Yields:
      `[n]` int64 rows.
    """
    order = np.argsort(-widths, kind="stable")[: np.count_nonzero(widths)]
    start = 0
    while start < len(order):
        stop = start + max(1, cells // int(widths[order[start]]))
        yield order[start:stop]
        start = stop


def padded(matrix: sparse.csr_matrix) -> tuple[np.ndarray, np.ndarray]:
    """Fills all rows up to the widest.

    Args:
      matrix: `[rows, n]`.

    Returns:
      columns: `[rows, widest]` int64, -1 behind a row's last.
      values: `[rows, widest]`, 0 behind a row's last.
    """
    lengths = np.diff(matrix.indptr)
    filled = np.arange(lengths.max(initial=0)) < lengths[:, np.newaxis]
    columns = np.full(filled.shape, -1, np.int64)
    values = np.zeros(filled.shape, matrix.dtype)
    columns[filled], values[filled] = matrix.indices, matrix.data
    return columns, values
