"""Pointwise log loss of a positive and its negatives."""

import tensorflow as tf


def binary_cross_entropy(
    positive: tf.Tensor, negatives: tf.Tensor, positive_weight: float | tf.Tensor = 1.0
) -> tf.Tensor:
    """Mean log loss of a positive taken as a 1 and its negatives taken as 0.

        loss = -(weight * log sigmoid(s+) + sum_j log(1 - sigmoid(s_j))) / (1 + n)

    With few negatives, scores come out too high for probabilities; see `gbce`. A negative of -inf
    costs nothing.

    Args:
      positive: `[batch]` scores, or of any other shape.
      negatives: `[batch, n]`: that shape, and `n` negatives of each.
      positive_weight: multiplies the positive's part.

    Returns:
      `[batch]` float32 losses.

    Source: Kang and McAuley, Self-Attentive Sequential Recommendation, ICDM 2018 (one negative,
    and the sum in the place of the mean).
    """
    positive, negatives = tf.cast(positive, tf.float32), tf.cast(negatives, tf.float32)
    positive.shape.assert_is_compatible_with(negatives.shape[:-1])
    width = tf.cast(tf.shape(negatives)[-1], tf.float32)
    to_negatives = tf.reduce_sum(tf.math.softplus(negatives), -1)
    return (positive_weight * tf.math.softplus(-positive) + to_negatives) / (1.0 + width)
