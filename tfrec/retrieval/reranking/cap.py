"""No more than so many items of a group."""

import math

import tensorflow as tf

from tfrec.retrieval.index import NO_ITEM
from tfrec.retrieval.reranking.lists import first


def cap(
    rows: tf.Tensor, scores: tf.Tensor, groups: tf.Tensor, limit: int, k: tf.Tensor | int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Keeps the first items of each group, such as a brand; of variants of a product, the first.

    Args:
      rows: `[batch, n]` int64; `NO_ITEM` where there is none. `n` is at least 1.
      scores: `[batch, n]` float32.
      groups: `[batch, n]` integers from 0 on; an item of group -1 is always kept.
      limit: items of a group to keep; 1 for one of each.
      k: length of the lists returned.

    Returns:
      rows: `[batch, k]` int64 in the order given; `NO_ITEM` behind the last, also where the
        candidates run out.
      scores: `[batch, k]` float32 of these items, as they were; -inf there.
    """
    groups = tf.where(tf.equal(rows, NO_ITEM), tf.constant(-1, groups.dtype), groups)
    kept = (groups < 0) | (_earlier(groups) < limit)
    return first(rows, scores, tf.where(kept, 0.0, -math.inf), k)


def _earlier(groups: tf.Tensor) -> tf.Tensor:
    """How many entries before each are of its group: `[batch, n]` int32."""
    order = tf.argsort(groups, stable=True)
    by_group = tf.gather(groups, order, batch_dims=1)
    earlier = tf.range(tf.shape(groups)[1]) - tf.searchsorted(by_group, by_group)
    return tf.gather(earlier, tf.argsort(order), batch_dims=1)
