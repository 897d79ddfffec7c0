"""Sampled softmax whose negatives are the other items of the batch."""

from collections.abc import Callable

import tensorflow as tf


def in_batch_softmax(
    queries: tf.Tensor,
    candidates: tf.Tensor,
    positives: tf.Tensor,
    sampling_probability: tf.Tensor,
    temperature: float = 1.0,
    draws: tf.Tensor | int | None = None,
) -> tf.Tensor:
    """Cross-entropy of each query's own item among the distinct items of the batch.

    The candidates are distinct, so no query meets its own item as a negative (an accidental hit).
    Popular items get into a batch more often than others; taking the logarithm of that chance off
    their logits makes the loss an estimate of the softmax over the whole catalogue:

        logit(q, c) = q . c / temperature - log(1 - (1 - p_c) ^ draws)

    Args:
      queries: `[batch, dim]`.
      candidates: `[distinct, dim]`, one row per distinct item of the batch.
      positives: `[batch]` int, each query's row of `candidates`.
      sampling_probability: `[distinct]`, each item's share `p_c` of all training examples.
      temperature: divides the scores; above 0.
      draws: examples whose items are the candidates, where they are not those of `queries` alone.

    Returns:
      `[batch]` losses, of the type of `queries`.

    Source: Yi et al., Sampling-Bias-Corrected Neural Modeling for Large Corpus Item
    Recommendations, RecSys 2019; the chance is that of sampling without repetition, as in
    TensorFlow's candidate samplers.
    """
    count = tf.cast(tf.shape(queries)[0] if draws is None else draws, queries.dtype)
    share = tf.clip_by_value(sampling_probability, 1e-12, 1.0 - 1e-6)
    log_q = tf.math.log(-tf.math.expm1(count * tf.math.log1p(-share)))  # [distinct]
    return _cross_entropy(queries / temperature, candidates, log_q, positives)


@tf.custom_gradient
def _cross_entropy(
    queries: tf.Tensor, candidates: tf.Tensor, log_q: tf.Tensor, positives: tf.Tensor
) -> tuple[tf.Tensor, Callable[[tf.Tensor], tuple[tf.Tensor | None, ...]]]:
    """Softmax cross-entropy of `queries . candidates - log_q`.

    Of what is as large as batch x distinct, only the logits and their softmax are ever made: log_q
    is one more column of the product, and what concerns the positives alone or an example as a
    whole is done on the small matrices. TensorFlow's own op takes three times as long on a CPU.
    """
    one = tf.ones_like(queries[:, :1])
    wide_queries = tf.concat([queries, one], 1)
    wide_candidates = tf.concat([candidates, -log_q[:, tf.newaxis]], 1)
    logits = tf.matmul(wide_queries, wide_candidates, transpose_b=True)  # [batch, distinct]
    softmax = tf.nn.softmax(logits)
    # The largest of a row is never too small to have a logarithm.
    log_sum = tf.reduce_max(logits, 1) - tf.math.log(tf.reduce_max(softmax, 1))
    own = tf.reduce_sum(wide_queries * tf.gather(wide_candidates, positives), 1)

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor | None, ...]:
        each = upstream[:, tf.newaxis]
        weighted = each * queries
        expected = tf.matmul(softmax, candidates)
        to_positives = tf.math.unsorted_segment_sum(weighted, positives, tf.shape(candidates)[0])
        return (
            each * (expected - tf.gather(candidates, positives)),
            tf.matmul(softmax, weighted, transpose_a=True) - to_positives,
            None,
            None,
        )

    return log_sum - own, gradient
