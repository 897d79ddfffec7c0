"""Items that have a fixed place."""

import math

import tensorflow as tf

from tfrec.retrieval.index import NO_ITEM
from tfrec.retrieval.reranking.lists import first


def pin(
    rows: tf.Tensor,
    scores: tf.Tensor,
    pinned: tf.Tensor,
    places: tf.Tensor,
    k: tf.Tensor | int,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Puts items in their places, candidates or not; the others keep their order around them.

    Where two have the same place, the second goes behind the first. In a list too short for a
    place, the item goes behind the last one.

    Args:
      rows: `[batch, n]` int64; `NO_ITEM` where there is none.
      scores: `[batch, n]` float32.
      pinned: `[batch, p]` int64, distinct; `NO_ITEM` fills up.
      places: `[batch, p]` int32, 1 for the top of the list.
      k: length of the lists returned; a pinned item whose place is further down is left out.

    Returns:
      rows: `[batch, k]` int64; `NO_ITEM` behind the last.
      scores: `[batch, k]` float32 of these items, as they were; -inf there, and for a pinned item
        that was no candidate.
    """
    places = tf.where(tf.equal(pinned, NO_ITEM), tf.int32.max, places)
    order = tf.argsort(places, stable=True)
    pinned, places = (tf.gather(values, order, batch_dims=1) for values in (pinned, places))

    same = tf.equal(rows[:, :, tf.newaxis], pinned[:, tf.newaxis, :])  # [batch, n, p]
    others = tf.where(tf.reduce_any(same, axis=2), tf.constant(NO_ITEM, tf.int64), rows)
    own = tf.reduce_max(tf.where(same, scores[:, :, tf.newaxis], -math.inf), axis=1)  # [batch, p]

    # A pinned item is sorted in before the first item that has as many others ahead as it.
    there = tf.cast(tf.not_equal(others, NO_ITEM), tf.float32)
    keys = tf.concat([0.5 - _others_ahead(places), -tf.cumsum(there, axis=1, exclusive=True)], 1)
    return first(tf.concat([pinned, others], 1), tf.concat([own, scores], 1), keys, k)


def _others_ahead(places: tf.Tensor) -> tf.Tensor:
    """How many items that are not pinned go before each that is, in order: `[batch, p]` float32."""
    number = tf.range(tf.shape(places)[1])
    alone = places - 1 - number  # As if no two had the same place.
    before = number[tf.newaxis, :] <= number[:, tf.newaxis]  # [p, p]
    ahead = tf.where(before, alone[:, tf.newaxis, :], tf.int32.min)
    return tf.cast(tf.reduce_max(ahead, axis=2), tf.float32)
