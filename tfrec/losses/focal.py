"""Log loss that spends less on examples which are right already."""

import tensorflow as tf


def focal(
    scores: tf.Tensor, labels: tf.Tensor, gamma: float = 2.0, alpha: float | None = None
) -> tf.Tensor:
    """Log loss of each example times how far from right the example is.

        loss = -alpha_t * (1 - p_t) ^ gamma * log p_t

    where `p_t` is the probability given to what did happen: sigmoid(score) of a 1, the rest of a 0.
    It ranks well where positives are rare, but its scores are no longer probabilities. Keras'
    `binary_focal_crossentropy` is the same formula; with `gamma` below 1 its gradients are NaN from
    scores of 17 on, so here the power is taken of the logarithm.

    Args:
      scores: `[batch]` logits.
      labels: `[batch]`, 0 or 1.
      gamma: how little the right ones count, at least 0; 0 is plain log loss.
      alpha: weight of the positives, in [0, 1], where that of the negatives is `1 - alpha`; without
        it, both have weight 1.

    Returns:
      `[batch]` float32 losses.

    Source: Lin et al., Focal Loss for Dense Object Detection, ICCV 2017.
    """
    scores, labels = tf.cast(scores, tf.float32), tf.cast(labels, tf.float32)
    right = (2.0 * labels - 1.0) * scores
    losses = tf.exp(gamma * tf.math.log_sigmoid(-right)) * tf.math.softplus(-right)
    return losses if alpha is None else losses * (labels * alpha + (1.0 - labels) * (1.0 - alpha))
