"""Sharing of candidates and sums among replicas that train in step."""

from collections.abc import Callable

import tensorflow as tf


def in_step() -> bool:
    """Whether the caller is one of several replicas that wait for each other.

    They are those of all processes, but for parameter servers' workers, which wait for nobody else.
    """
    return tf.distribute.get_strategy().num_replicas_in_sync > 1


def total(value: tf.Tensor) -> tf.Tensor:
    """Sums a scalar over the replicas; no gradient passes."""
    if not in_step():
        return value
    context = tf.distribute.get_replica_context()
    return tf.stop_gradient(context.all_reduce(tf.distribute.ReduceOp.SUM, value))


def gather(values: tf.Tensor) -> tf.Tensor:
    """Joins `[n]` values of each replica to those of all; no gradient passes."""
    if not in_step():
        return values
    return tf.stop_gradient(tf.distribute.get_replica_context().all_gather(values, 0))


def share_candidates(
    candidates: tf.Tensor, rows: tf.Tensor, positives: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Makes the candidates of all replicas the candidates of each, every item once.

    The gradient of a candidate goes back to the replica it came from, so replicas that share a
    batch learn what one would learn from the whole of it.

    Args:
      candidates: `[distinct, dim]` of this replica.
      rows: `[distinct]` int64, which items they are.
      positives: `[batch]` int, each query's row of `candidates`.

    Returns:
      The same three for the distinct items of all replicas; as they were where there is but one.
    """
    if not in_step():
        return candidates, rows, positives
    context = tf.distribute.get_replica_context()
    gathered = _dense_backwards(context.all_gather(candidates, 0))
    all_rows = context.all_gather(rows, 0)
    distinct, position = tf.unique(tf.concat([all_rows, rows], 0))
    everywhere, own = tf.split(position, [tf.size(all_rows), tf.size(rows)])
    count = tf.size(distinct)
    first = tf.math.unsorted_segment_min(tf.range(tf.size(everywhere)), everywhere, count)
    return tf.gather(gathered, first), distinct, tf.gather(own, positives)


@tf.custom_gradient
def _dense_backwards(
    values: tf.Tensor,
) -> tuple[tf.Tensor, Callable[[tf.Tensor | tf.IndexedSlices], tf.Tensor]]:
    """Leaves values as they are; the way back through `all_gather` takes no sparse gradient."""
    return tf.identity(values), tf.convert_to_tensor
