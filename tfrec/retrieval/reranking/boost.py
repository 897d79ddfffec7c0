"""Items that are to be shown more, or less."""

import tensorflow as tf

from tfrec.retrieval.reranking.lists import bounds, first


def boost(
    rows: tf.Tensor, scores: tf.Tensor, amounts: tf.Tensor, k: tf.Tensor | int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Adds to scores and sorts by them again.

    Args:
      rows: `[batch, n]` int64; `NO_ITEM` where there is none.
      scores: `[batch, n]` float32.
      amounts: `[batch, n]` float32, what to add: 1 is the way from the list's lowest score to its
        highest, so that the same amount suits every model; below 0 to show an item less.
      k: length of the lists returned.

    Returns:
      rows: `[batch, k]` int64, best first; `NO_ITEM` behind the last.
      scores: `[batch, k]` float32 with what was added; -inf there.
    """
    scores = scores + amounts * bounds(rows, scores)[1]
    return first(rows, scores, scores, k)
