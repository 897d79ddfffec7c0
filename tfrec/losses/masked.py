"""Softmax over the entries of a list that are not padding."""

import tensorflow as tf

LEAST = -1e30
"""Stands for -inf where its gradient would be NaN."""


def masked_log_softmax(scores: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Log softmax of each list over the entries that are there.

    Args:
      scores: `[lists, length]` float32; anything, also NaN, where there is no entry.
      mask: `[lists, length]` bool, whether there is one.

    Returns:
      `[lists, length]` float32, 0 where there is no entry.
    """
    logs = tf.nn.log_softmax(tf.where(mask, scores, LEAST))
    return tf.where(mask, logs, 0.0)
