"""Bayesian personalised ranking: a positive should score above its negatives."""

import tensorflow as tf


def bpr(positive: tf.Tensor, negatives: tf.Tensor) -> tf.Tensor:
    """Mean over the negatives of how much each one is not below the positive.

        loss = -1/n sum_j log sigmoid(s+ - s_j)

    A negative of -inf costs nothing. The L2 penalty of the paper is the optimiser's weight decay.

    Args:
      positive: `[batch]` scores, or of any other shape.
      negatives: `[batch, n]`: that shape, and `n` negatives of each.

    Returns:
      `[batch]` float32 losses; 0 without negatives.

    Source: Rendle et al., BPR: Bayesian Personalized Ranking from Implicit Feedback, UAI 2009.
    """
    positive, negatives = tf.cast(positive, tf.float32), tf.cast(negatives, tf.float32)
    positive.shape.assert_is_compatible_with(negatives.shape[:-1])
    losses = tf.math.softplus(negatives - positive[..., tf.newaxis])
    width = tf.cast(tf.shape(negatives)[-1], tf.float32)
    return tf.math.divide_no_nan(tf.reduce_sum(losses, -1), width)
