"""ListMLE: the likelihood of the right order."""

import tensorflow as tf

from tfrec.losses.masked import LEAST


def list_mle(scores: tf.Tensor, labels: tf.Tensor, mask: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Negative log-likelihood of the order of the labels, when places are given out by scores.

    From the first place on, each goes to one of the items that are left, by the softmax of their
    scores (Plackett and Luce's model). With items in the order of their labels, best first:

        loss = sum_i log(sum_{j >= i} exp(s_j)) - s_i

    Items with equal labels come in an order drawn by the seed.

    Args:
      scores: `[lists, length]`.
      labels: `[lists, length]`, larger is better.
      mask: `[lists, length]` bool, false for padding.
      seed: `[2]` int; another one at each step, so that no order among equals is learned.

    Returns:
      `[lists]` float32 losses; 0 for a list of one item or none.

    Source: Xia et al., Listwise Approach to Learning to Rank: Theory and Algorithm, ICML 2008.
    """
    scores, labels = tf.cast(scores, tf.float32), tf.cast(labels, tf.float32)
    shuffled = tf.argsort(tf.random.stateless_uniform(tf.shape(labels), seed))
    mixed = tf.gather(tf.where(mask, labels, labels.dtype.min), shuffled, batch_dims=1)
    best_first = tf.argsort(mixed, direction="DESCENDING", stable=True)
    order = tf.gather(shuffled, best_first, batch_dims=1)
    ordered = tf.gather(tf.where(mask, scores, LEAST), order, batch_dims=1)
    log_left = tf.math.cumulative_logsumexp(ordered, -1, reverse=True)
    # Padding comes last, where both are LEAST.
    return tf.reduce_sum(log_left - ordered, -1)
