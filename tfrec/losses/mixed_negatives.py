"""Sampled softmax whose negatives come from the batch and from the whole catalogue."""

import tensorflow as tf

from tfrec.losses.dot_softmax import dot_softmax
from tfrec.losses.log_q import log_q


def mixed_negative_softmax(
    queries: tf.Tensor,
    candidates: tf.Tensor,
    positives: tf.Tensor,
    sampling_probability: tf.Tensor,
    items: int,
    uniform_draws: tf.Tensor | int,
    temperature: float = 1.0,
    draws: tf.Tensor | int | None = None,
) -> tf.Tensor:
    """Cross-entropy of each query's own item among those of the batch and uniformly drawn ones.

    An item that is rarely or never bought is rarely or never a negative of a batch, so nothing
    keeps its score down; drawn uniformly, it is one now and then. The correction takes both ways
    into a batch into account:

        logit(q, c) = q . c / temperature
                      - log(1 - (1 - p_c) ^ draws * (1 - 1 / items) ^ uniform_draws)

    Args:
      queries: `[batch, dim]`.
      candidates: `[distinct, dim]`, one row for each item of the batch or drawn.
      positives: `[batch]` int, each query's row of `candidates`.
      sampling_probability: `[distinct]`, each item's share `p_c` of all training examples, or 0.
      items: items of the catalogue.
      uniform_draws: how often an item was drawn uniformly, on all replicas that share candidates.
      temperature: divides the scores; above 0.
      draws: examples whose items are the candidates, where they are not those of `queries` alone.

    Returns:
      `[batch]` float32 losses.

    Source: Yang et al., Mixed Negative Sampling for Learning Two-tower Neural Networks in
    Recommendations, WWW 2020 Companion, whose candidates may repeat, with the mixture of both
    distributions in the place of the chance to be drawn at all; see `log_q`.
    """
    draws = tf.shape(queries)[0] if draws is None else draws
    chance = log_q(sampling_probability, draws, uniform_draws, items)
    queries = tf.cast(queries, tf.float32) / temperature
    return dot_softmax(queries, tf.cast(candidates, tf.float32), chance, positives)
