"""What every step of re-ranking does with lists of candidates."""

import math

import tensorflow as tf

from tfrec.retrieval.index import NO_ITEM


def first(
    rows: tf.Tensor, scores: tf.Tensor, keys: tf.Tensor, k: tf.Tensor | int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Sorts lists by a key and cuts them.

    Args:
      rows: `[batch, n]` int64; `NO_ITEM` where there is none.
      scores: `[batch, n]` float32.
      keys: `[batch, n]` float32, the largest first and equal ones in the order given; -inf leaves
        an item out.
      k: length of the lists returned.

    Returns:
      rows: `[batch, k]` int64; `NO_ITEM` behind the last item.
      scores: `[batch, k]` float32; -inf there.
    """
    keys = tf.where(tf.equal(rows, NO_ITEM), -math.inf, keys)
    keys, places = tf.math.top_k(keys, tf.minimum(k, tf.shape(rows)[1]))
    there = keys > -math.inf
    no_item = tf.constant(NO_ITEM, tf.int64)
    rows = tf.where(there, tf.gather(rows, places, batch_dims=1), no_item)
    scores = tf.where(there, tf.gather(scores, places, batch_dims=1), -math.inf)
    ends = [[0, 0], [0, k - tf.shape(keys)[1]]]
    return (
        tf.pad(rows, ends, constant_values=no_item),
        tf.pad(scores, ends, constant_values=-math.inf),
    )


def relevance(rows: tf.Tensor, scores: tf.Tensor) -> tf.Tensor:
    """Scores of which each list's lowest is 0 and its highest 1, whatever model gave them.

    Args:
      rows: `[batch, n]` int64; `NO_ITEM` where there is none.
      scores: `[batch, n]` float32.

    Returns:
      `[batch, n]` float32 in [0, 1]; all 0 in a list whose scores are equal.
    """
    low, spread = bounds(rows, scores)
    return tf.clip_by_value((scores - low) / spread, 0.0, 1.0)


def bounds(rows: tf.Tensor, scores: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The lowest finite score of each list, and how far above it the highest is.

    Args:
      rows: `[batch, n]` int64; `NO_ITEM` where there is none.
      scores: `[batch, n]` float32.

    Returns:
      Two `[batch, 1]` float32, the second 1 where all scores are equal.
    """
    there = tf.not_equal(rows, NO_ITEM) & tf.math.is_finite(scores)
    low = tf.reduce_min(tf.where(there, scores, math.inf), axis=1, keepdims=True)
    high = tf.reduce_max(tf.where(there, scores, -math.inf), axis=1, keepdims=True)
    return low, tf.where(high > low, high - low, 1.0)
