"""Lists whose categories are mixed as in what a shopper chose before."""

import tensorflow as tf

from tfrec.retrieval.reranking.greedy import choose
from tfrec.retrieval.reranking.lists import relevance

_SMOOTHING = 0.01


def calibrate(
    rows: tf.Tensor,
    scores: tf.Tensor,
    categories: tf.Tensor,
    target: tf.Tensor,
    strength: float,
    k: tf.Tensor | int,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Fills each place with the item that is relevant and brings the categories to their shares.

        next = argmax_i  (1 - strength) relevance_i - strength KL(p, q(chosen and i))
        KL(p, q) = sum_c p_c log(p_c / (0.99 q_c + 0.01 p_c))

    p is the target and q_c the share of category c in the list so far. The relevance is the score
    between the list's lowest, 0, and its highest, 1. One item changes the divergence the less, the
    longer the list already is, so the first places feel it most.

    Args:
      rows: `[batch, n]` int64; `NO_ITEM` where there is none.
      scores: `[batch, n]` float32.
      categories: `[batch, n]` integers from 0 on; -1 for an item of none.
      target: `[batch, categories]` float32 shares that add up to 1; all 0 to go by relevance alone.
      strength: 0 for relevance alone, 1 for nothing but calibration.
      k: how many to choose.

    Returns:
      rows: `[batch, k]` int64 in the order chosen; `NO_ITEM` behind the last.
      scores: `[batch, k]` float32 of these items, as they were; -inf there.

    Source: Steck, Calibrated Recommendations, RecSys 2018, its greedy search; each item has one
    category.
    """
    relevant = (1 - strength) * relevance(rows, scores)
    count = tf.shape(target)[1]
    columns_of = tf.where(categories < 0, count, tf.cast(categories, tf.int32))

    def worth(number: tf.Tensor, counts: tf.Tensor) -> tf.Tensor:
        length = tf.cast(number + 1, tf.float32)
        now, with_one_more = (_terms(target, c / length) for c in (counts, counts + 1))
        changes = tf.pad(with_one_more - now, [[0, 0], [0, 1]])  # The last: of no category.
        divergence = tf.reduce_sum(now, axis=1, keepdims=True) + changes
        return relevant - strength * tf.gather(divergence, columns_of, batch_dims=1)

    def add(counts: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
        return counts + tf.one_hot(tf.gather(categories, columns, batch_dims=1), count)

    return choose(rows, scores, k, tf.zeros_like(target), worth, add)


def category_shares(categories: tf.Tensor, count: int) -> tf.Tensor:
    """Counts how much of each list is of each category.

    Args:
      categories: `[batch, n]` integers below `count`; -1 where there is none.
      count: of the categories.

    Returns:
      `[batch, count]` float32 that add up to 1; all 0 where there is no category.
    """
    batch = tf.shape(categories)[0]
    starts = count * tf.range(batch)[:, tf.newaxis]
    # Numbers below 0 are not counted.
    bins = tf.where(categories < 0, -1, tf.cast(categories, tf.int32) + starts)
    counts = tf.math.unsorted_segment_sum(tf.ones_like(bins, tf.float32), bins, batch * count)
    counts = tf.reshape(counts, [batch, count])
    return tf.math.divide_no_nan(counts, tf.reduce_sum(counts, axis=1, keepdims=True))


def _terms(target: tf.Tensor, shown: tf.Tensor) -> tf.Tensor:
    """What each category adds to the divergence."""
    smooth = (1 - _SMOOTHING) * shown + _SMOOTHING * target
    return tf.math.multiply_no_nan(tf.math.log(target / smooth), target)
