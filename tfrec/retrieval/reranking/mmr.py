"""Maximal marginal relevance."""

import tensorflow as tf

from tfrec.retrieval.reranking.greedy import choose
from tfrec.retrieval.reranking.lists import relevance


def mmr(
    rows: tf.Tensor,
    scores: tf.Tensor,
    vectors: tf.Tensor,
    trade_off: float,
    k: tf.Tensor | int,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Fills each place with the item that is relevant and unlike those before it.

        next = argmax_i  trade_off relevance_i - (1 - trade_off) max_{j chosen} cos(i, j)

    The relevance is the score between the list's lowest, 0, and its highest, 1. The first place is
    the best item's. Memory is batch x n x n.

    Args:
      rows: `[batch, n]` int64; `NO_ITEM` where there is none.
      scores: `[batch, n]` float32.
      vectors: `[batch, n, dim]` float32 that tell the items apart; of any length.
      trade_off: 1 for relevance alone, 0 for nothing but variety behind the first place.
      k: how many to choose.

    Returns:
      rows: `[batch, k]` int64 in the order chosen; `NO_ITEM` behind the last.
      scores: `[batch, k]` float32 of these items, as they were; -inf there.

    Source: Carbonell and Goldstein, The Use of MMR, Diversity-Based Reranking for Reordering
    Documents and Producing Summaries, SIGIR 1998.
    """
    relevant = trade_off * relevance(rows, scores)
    vectors = tf.math.l2_normalize(vectors, axis=-1)
    # All at once: as many small products in the loop took three times as long.
    cosines = tf.matmul(vectors, vectors, transpose_b=True)  # [batch, n, n]

    def worth(_: tf.Tensor, nearest: tf.Tensor) -> tf.Tensor:
        return relevant - (1 - trade_off) * nearest

    def add(nearest: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
        return tf.maximum(nearest, tf.gather(cosines, columns, batch_dims=1))

    # No cosine is below -1, so before the first choice all are as near.
    return choose(rows, scores, k, -tf.ones_like(scores), worth, add)
