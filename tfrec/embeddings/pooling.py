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
        rows, positions.flat_values, owning_rows(positions), num_segments=positions.nrows()
    )


def owning_rows(lists: tf.RaggedTensor) -> tf.Tensor:
    """Does what `value_rowids` does in a third of its operations, which are traced for each list.

    Args:
      lists: ragged `[batch, values, ...]`.

    Returns:
      `[values of all lists]` of the type of their row splits, the row of each value.
    """
    ends = lists.row_splits[1:-1, tf.newaxis]
    count = tf.shape(lists.flat_values, lists.row_splits.dtype)[:1]
    # One more place, for the ends of empty lists behind the last value.
    ended = tf.scatter_nd(ends, tf.ones_like(ends[:, 0]), count + 1)
    return tf.cumsum(ended)[:-1]
