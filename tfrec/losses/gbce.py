"""Generalised binary cross-entropy: log loss that knows how few negatives it saw."""

import tensorflow as tf

from tfrec.losses.binary_cross_entropy import binary_cross_entropy


def gbce(positive: tf.Tensor, negatives: tf.Tensor, items: int, t: float = 0.75) -> tf.Tensor:
    """Binary cross-entropy with the positive's probability raised to a power.

        loss = -(log(sigmoid(s+) ^ beta) + sum_j log(1 - sigmoid(s_j))) / (1 + n)
        beta = alpha * (t * (1 - 1 / alpha) + 1 / alpha) = 1 - t * (1 - alpha)
        alpha = n / (items - 1)

    An item is a positive as often as it is bought, but a negative only as often as it is drawn:
    with few negatives the model is too sure of everything at the top, and loses their order there.
    At t = 1 the power undoes that wholly, at t = 0 not at all.

    Args:
      positive: `[batch]` scores, or of any other shape.
      negatives: `[batch, n]`: that shape, and `n` uniformly drawn negatives of each.
      items: items of the catalogue, at least 2.
      t: how much to calibrate, in [0, 1].

    Returns:
      `[batch]` float32 losses.

    Source: Petrov and Macdonald, gSASRec: Reducing Overconfidence in Sequential Recommendation
    Trained with Negative Sampling, RecSys 2023.
    """
    alpha = tf.cast(tf.shape(negatives)[-1], tf.float32) / (items - 1)
    return binary_cross_entropy(positive, negatives, 1.0 - t * (1.0 - alpha))
