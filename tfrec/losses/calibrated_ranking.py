"""Log loss and a listwise loss that agree on the scores: they rank and stay probabilities."""

import tensorflow as tf

from tfrec.losses.masked import masked_log_softmax


def calibrated_ranking(
    scores: tf.Tensor, labels: tf.Tensor, mask: tf.Tensor, listwise: float = 0.5
) -> tf.Tensor:
    """Log loss of each item, and the cross-entropy of its share of the list's probabilities.

        p_i = sigmoid(s_i)
        loss = (1 - listwise) * -sum_i (y_i log p_i + (1 - y_i) log(1 - p_i))
               + listwise * -sum_i y_i log(p_i / sum_j p_j)

    Both parts are smallest where p_i is the chance of a 1, so the second one, which compares the
    items of a list, does not take the scores off the scale of the first. A softmax of the scores
    themselves would: it wants exp(s_i) in proportion to the chances. The labels are not divided by
    their sum, which would move the second minimum where lists differ in their number of ones.

    Args:
      scores: `[lists, length]` logits.
      labels: `[lists, length]`, 0 or 1.
      mask: `[lists, length]` bool, false for padding.
      listwise: weight of the second part, in [0, 1).

    Returns:
      `[lists]` float32 losses; 0 for an empty list.

    Source: Bai et al., Regression Compatible Listwise Objectives for Calibrated Ranking with Binary
    Relevance, CIKM 2023.
    """
    scores = tf.where(mask, tf.cast(scores, tf.float32), 0.0)
    labels = tf.where(mask, tf.cast(labels, tf.float32), 0.0)
    pointwise = tf.nn.sigmoid_cross_entropy_with_logits(labels, scores)
    in_list = -labels * masked_log_softmax(tf.math.log_sigmoid(scores), mask)
    each = tf.where(mask, (1.0 - listwise) * pointwise, 0.0) + listwise * in_list
    return tf.reduce_sum(each, -1)
