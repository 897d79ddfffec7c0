"""Sparse gradients that name each row once."""

import tensorflow as tf


class DistinctRows(tf.IndexedSlices):
    """A sparse gradient known to name each row once: nothing is left to sum.

    Whatever joins gradients, of several lookups or of several replicas, makes plain
    `tf.IndexedSlices` of them: the knowledge is lost where it would no longer be true.
    """


def sum_by_row(gradient: tf.IndexedSlices) -> DistinctRows:
    """Sums the slices of a gradient that belong to the same row."""
    if isinstance(gradient, DistinctRows):
        return gradient
    rows, position = tf.unique(gradient.indices)
    values = tf.math.unsorted_segment_sum(gradient.values, position, tf.size(rows))
    return DistinctRows(values, rows, gradient.dense_shape)
