"""Sampled softmax whose negatives are the other items of the batch."""

import tensorflow as tf

from tfrec.losses.dot_softmax import dot_softmax
from tfrec.losses.log_q import log_q


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
      `[batch]` float32 losses.

    Source: Yi et al., Sampling-Bias-Corrected Neural Modeling for Large Corpus Item
    Recommendations, RecSys 2019; see `log_q`.
    """
    chance = log_q(sampling_probability, tf.shape(queries)[0] if draws is None else draws)
    queries = tf.cast(queries, tf.float32) / temperature
    return dot_softmax(queries, tf.cast(candidates, tf.float32), chance, positives)
