"""Softmax over an item and negatives of the query's own."""

import tensorflow as tf


def sampled_softmax(positive: tf.Tensor, negatives: tf.Tensor) -> tf.Tensor:
    """Cross-entropy of the positive among itself and its negatives.

        loss = log(exp(s+) + sum_j exp(s_j)) - s+

    Where negatives are not equally likely to be drawn, take the logarithm of each one's chance off
    its score first (see `log_q`). A negative of -inf is none.

    Args:
      positive: `[batch]` scores, or of any other shape.
      negatives: `[batch, n]`: that shape, and `n` negatives of each.

    Returns:
      `[batch]` float32 losses.

    Source: Jean et al., On Using Very Large Target Vocabulary for Neural Machine Translation,
    ACL 2015.
    """
    positive, negatives = tf.cast(positive, tf.float32), tf.cast(negatives, tf.float32)
    logits = tf.concat([positive[..., tf.newaxis], negatives], -1)
    return tf.reduce_logsumexp(logits, -1) - positive
