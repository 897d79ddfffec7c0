"""Randomness that follows from the batch."""

import tensorflow as tf


def batch_seed(rows: tf.Tensor) -> tf.Tensor:
    """Makes a seed of a batch, so that training that goes on draws what it would have drawn.

    Args:
      rows: `[batch]` int64, the Examples' rows of the catalogue.

    Returns:
      `[2]` int64, for stateless random operations; another one for the same examples in another
      order.
    """
    order = tf.range(tf.size(rows, tf.int64), dtype=tf.int64)
    return tf.stack([tf.reduce_sum(rows), tf.reduce_sum(rows * order)])
