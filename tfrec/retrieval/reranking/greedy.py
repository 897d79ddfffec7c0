"""Choosing items one after the other, where each choice depends on those before it."""

import math
from collections.abc import Callable

import tensorflow as tf

from tfrec.retrieval.index import NO_ITEM
from tfrec.retrieval.reranking.lists import first


def choose(
    rows: tf.Tensor,
    scores: tf.Tensor,
    k: tf.Tensor | int,
    state: tf.Tensor,
    worth: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    add: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
) -> tuple[tf.Tensor, tf.Tensor]:
    """Gives each place in turn to the item that is worth most now, in all lists at once.

    Args:
      rows: `[batch, n]` int64; `NO_ITEM` where there is none.
      scores: `[batch, n]` float32.
      k: how many to choose.
      state: what is known of the items chosen so far, when there are none.
      worth: number of items chosen and state -> `[batch, n]` float32, finite; of equals the first
        is chosen.
      add: state and `[batch]` int32 columns of the items just chosen -> the new state.

    Returns:
      Rows and scores of the items chosen, as of `first`.
    """
    present = tf.not_equal(rows, NO_ITEM)
    longest = tf.reduce_max(tf.math.count_nonzero(present, axis=1, dtype=tf.int32))

    def step(
        number: tf.Tensor, keys: tf.Tensor, state: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        left = present & tf.math.is_inf(keys)
        worths = tf.where(left, worth(number, state), -math.inf)
        columns = tf.math.top_k(worths, 1).indices[:, 0]  # argmax promises no order of equals.
        chosen = tf.one_hot(columns, tf.shape(rows)[1], True, False, dtype=tf.bool) & left
        keys = tf.where(chosen, -tf.cast(number, tf.float32), keys)
        return number + 1, keys, add(state, columns)

    none = tf.fill(tf.shape(rows), -math.inf)
    _, keys, _ = tf.while_loop(
        lambda number, keys, state: number < tf.minimum(k, longest), step, (0, none, state)
    )
    return first(rows, scores, keys, k)
