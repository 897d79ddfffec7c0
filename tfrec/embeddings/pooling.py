"""One vector for a list of embedded values."""

from typing import Literal

import tensorflow as tf

Pooling = Literal["mean", "sum", "sqrt_n"]

_SEGMENT_OPERATIONS = {
    "mean": tf.sparse.segment_mean,
    "sum": tf.sparse.segment_sum,
    "sqrt_n": tf.sparse.segment_sqrt_n,
}


def pool(rows: tf.Tensor, positions: tf.RaggedTensor, pooling: Pooling) -> tf.Tensor:
    """Pools lists without making a copy of a row for every list it is in.

        mean: sum / n        sum: sum        sqrt_n: sum / sqrt(n)

    Args:
      rows: `[distinct, dim]`.
      positions: ragged `[batch, values]` int, which rows are in each list.
      pooling: what is done with a list's rows.

    Returns:
      `[batch, dim]`; zeros for an empty list.
    """
    return _SEGMENT_OPERATIONS[pooling](
        rows, positions.flat_values, positions.value_rowids(), num_segments=positions.nrows()
    )
