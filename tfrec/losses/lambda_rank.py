"""LambdaRank: pairs in the wrong order cost what putting them right would gain."""

import tensorflow as tf

from tfrec.losses.masked import LEAST


def lambda_rank(scores: tf.Tensor, labels: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Logistic loss of each pair of unequal labels, times what its exchange would change in NDCG.

        loss = sum_{y_i > y_j} delta_ij log(1 + exp(s_j - s_i))
        delta_ij = |2^y_i - 2^y_j| |1 / log2(1 + place_i) - 1 / log2(1 + place_j)| / best DCG

    Places follow from the scores, equal ones in the order given; no gradient passes through them.
    Memory is lists x length x length.

    Args:
      scores: `[lists, length]`.
      labels: `[lists, length]`, grades from 0 on.
      mask: `[lists, length]` bool, false for padding.

    Returns:
      `[lists]` float32 losses; 0 for a list whose items are all of one grade.

    Source: Burges, From RankNet to LambdaRank to LambdaMART: An Overview, MSR-TR-2010-82; as a
    loss: Wang et al., The LambdaLoss Framework for Ranking Metric Optimization, CIKM 2018.
    """
    labels = tf.where(mask, tf.cast(labels, tf.float32), 0.0)
    scores = tf.where(mask, tf.cast(scores, tf.float32), 0.0)
    deltas = _deltas(2.0**labels - 1.0, tf.where(mask, scores, LEAST))
    first, second = labels[:, :, tf.newaxis], labels[:, tf.newaxis, :]
    ordered = (first > second) & mask[:, tf.newaxis, :]  # What is better than another is there.
    pairs = tf.math.softplus(scores[:, tf.newaxis, :] - scores[:, :, tf.newaxis])
    return tf.reduce_sum(tf.where(ordered, deltas * pairs, 0.0), [1, 2])


def _deltas(gains: tf.Tensor, scores: tf.Tensor) -> tf.Tensor:
    """What exchanging two items changes in NDCG: `[lists, length, length]`."""
    places = tf.argsort(tf.argsort(scores, direction="DESCENDING", stable=True))  # From 0 on.
    discounts = tf.math.log(2.0) / tf.math.log(2.0 + tf.range(tf.shape(gains)[1], dtype=tf.float32))
    best = tf.reduce_sum(tf.sort(gains, direction="DESCENDING") * discounts, 1)  # [lists]
    own = tf.gather(discounts, places)
    changes = _differences(gains) * _differences(own)
    return tf.math.divide_no_nan(changes, best[:, tf.newaxis, tf.newaxis])


def _differences(values: tf.Tensor) -> tf.Tensor:
    return tf.abs(values[:, :, tf.newaxis] - values[:, tf.newaxis, :])
