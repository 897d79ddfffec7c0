"""The negatives that a model finds hardest to tell from the positive."""

import math

import tensorflow as tf


def hard_negatives(
    scores: tf.Tensor, positives: tf.Tensor, count: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Keeps the highest-scored negatives of each query, besides its positive.

    What it returns goes into any loss of a positive and its negatives: `sampled_softmax`, `bpr`,
    `binary_cross_entropy`, `gbce`. Correct scores for sampling before, so that popular items are
    not hard merely for being there often (see `log_q`); an item to be spared is given -inf.

    Args:
      scores: `[batch, items]` of the batch's candidates.
      positives: `[batch]` int, each query's column of `scores`.
      count: negatives to keep of each query; all, where there are fewer.

    Returns:
      The positives' scores, `[batch]`, and the negatives', `[batch, count]`, highest first; both
      float32. Gradients reach the scores that were kept.

    Source: Schroff, Kalenichenko and Philbin, FaceNet, CVPR 2015, for why hard ones. TFRS's
    `HardNegativeMining` keeps the same ones, in any order and among the positives.
    """
    scores = tf.cast(scores, tf.float32)
    items = tf.shape(scores)[1]
    is_positive = tf.range(items) == tf.cast(positives, tf.int32)[:, tf.newaxis]
    others = tf.where(is_positive, -math.inf, scores)
    hardest, _ = tf.math.top_k(others, tf.minimum(count, items - 1))
    return tf.gather(scores, positives, batch_dims=1), hardest
