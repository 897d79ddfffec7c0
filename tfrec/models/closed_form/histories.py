"""Histories in a graph: rows of the catalogue in a tensor, instead of a sparse matrix."""

import tensorflow as tf


def distinct(rows: tf.Tensor) -> tf.Tensor:
    """Keeps each item of a history once.

    Args:
      rows: `[batch, n]` int64, -1 where there is none.

    Returns:
      `[batch, n]` int64 in another order, -1 where there is none.
    """
    ordered = tf.sort(rows, axis=1)
    repeats = tf.concat([tf.zeros_like(rows[:, :1], tf.bool), ordered[:, 1:] == ordered[:, :-1]], 1)
    return tf.where(repeats, tf.constant(-1, rows.dtype), ordered)


def share_of(rows: tf.Tensor) -> tf.Tensor:
    """What each place of a history is of its item: 1 over the item's places, 0 for none.

    Args:
      rows: `[batch, n]` int64, -1 where there is none.

    Returns:
      `[batch, n]` float32.
    """
    ordered = tf.sort(rows, axis=1)
    first, behind = (tf.searchsorted(ordered, rows, side) for side in ("left", "right"))
    return tf.where(rows < 0, 0.0, 1 / tf.cast(behind - first, tf.float32))


def add_up(values: tf.Tensor, owners: tf.Tensor, rows: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
    """Adds values up by history and item.

    Args:
      values: `[n]` float32.
      owners: `[n]` int64, the histories.
      rows: `[n]` int64, the items; what has a negative one is left out.
      shape: `[2]` int64, the numbers of histories and items.

    Returns:
      `[batch, items]` float32.
    """
    cells = tf.where(rows < 0, tf.constant(-1, rows.dtype), owners * shape[1] + rows)
    return tf.reshape(tf.math.unsorted_segment_sum(values, cells, shape[0] * shape[1]), shape)


def owners_of(rows: tf.Tensor) -> tf.Tensor:
    """The history of each cell of `rows`, `[batch * n]` int64."""
    batch, width = tf.unstack(tf.shape(rows, tf.int64))
    return tf.repeat(tf.range(batch), width)
