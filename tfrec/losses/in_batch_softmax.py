"""Sampled softmax whose negatives are the other items of the batch."""

import tensorflow as tf


def in_batch_softmax(
    queries: tf.Tensor,
    candidates: tf.Tensor,
    positives: tf.Tensor,
    sampling_probability: tf.Tensor,
    weights: tf.Tensor | None = None,
    temperature: float = 1.0,
) -> tf.Tensor:
    """Cross-entropy of each query's own item among the distinct items of the batch.

    The candidates are distinct, so no query meets its own item as a negative (an accidental hit).
    Popular items get into a batch more often than others; taking the logarithm of that chance off
    their logits makes the loss an estimate of the softmax over the whole catalogue:

        logit(q, c) = q . c / temperature - log(1 - (1 - p_c) ^ batch)

    Args:
      queries: `[batch, dim]`.
      candidates: `[distinct, dim]`, one row per distinct item of the batch.
      positives: `[batch]` int, each query's row of `candidates`.
      sampling_probability: `[distinct]`, each item's share `p_c` of all training examples.
      weights: `[batch]`, how much each example counts; all alike by default.
      temperature: divides the scores; above 0.

    Returns:
      The weighted mean of the loss over the batch, a scalar.

    Source: Yi et al., Sampling-Bias-Corrected Neural Modeling for Large Corpus Item
    Recommendations, RecSys 2019; the chance is that of sampling without repetition, as in
    TensorFlow's candidate samplers.
    """
    batch = tf.cast(tf.shape(queries)[0], queries.dtype)
    share = tf.clip_by_value(sampling_probability, 1e-12, 1.0 - 1e-6)
    log_q = tf.math.log(-tf.math.expm1(batch * tf.math.log1p(-share)))
    logits = tf.matmul(queries, candidates, transpose_b=True) / temperature  # [batch, distinct]
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(positives, logits - log_q)
    if weights is None:
        return tf.reduce_mean(losses)
    return tf.math.divide_no_nan(tf.reduce_sum(losses * weights), tf.reduce_sum(weights))
