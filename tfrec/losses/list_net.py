"""ListNet: the first place should go to an item as its label says."""

import tensorflow as tf

from tfrec.losses.masked import masked_log_softmax


def list_net(scores: tf.Tensor, labels: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Cross-entropy between the chances to come first by the labels and by the scores.

        loss = -sum_i softmax(labels)_i log softmax(scores)_i

    The labels are on the scale of scores: multiply them to set the best apart from the rest.

    Args:
      scores: `[lists, length]`.
      labels: `[lists, length]`, larger is better.
      mask: `[lists, length]` bool, false for padding.

    Returns:
      `[lists]` float32 losses; 0 for a list of one item or none.

    Source: Cao et al., Learning to Rank: From Pairwise Approach to Listwise Approach, ICML 2007
    (the top-one model).
    """
    scores, labels = tf.cast(scores, tf.float32), tf.cast(labels, tf.float32)
    wanted = tf.exp(masked_log_softmax(labels, mask))
    return -tf.reduce_sum(wanted * masked_log_softmax(scores, mask), -1)
