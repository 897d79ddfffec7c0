"""How likely an item is to be among the candidates of a batch."""

import tensorflow as tf


def log_q(
    sampling_probability: tf.Tensor,
    draws: tf.Tensor | int,
    uniform_draws: tf.Tensor | int = 0,
    items: int | None = None,
) -> tf.Tensor:
    """Logarithm of the chance that a batch draws an item at least once.

    `draws` times the item of a training example is drawn, and `uniform_draws` times any item of the
    catalogue:

        log_q(c) = log(1 - (1 - p_c) ^ draws * (1 - 1 / items) ^ uniform_draws)

    Taken off the logits of candidates of which each counts once, it makes their sum of exponentials
    an unbiased estimate of the sum over the whole catalogue.

    Args:
      sampling_probability: `[distinct]`, each item's share `p_c` of all training examples.
      draws: examples whose items are the candidates.
      uniform_draws: items drawn besides, with repetition, each as likely as any other.
      items: items of the catalogue; needed with uniform draws.

    Returns:
      `[distinct]` float32, at most 0.

    Source: the chance is that of sampling without repetition, as in TensorFlow's candidate
    samplers; the estimate of the sum is Horvitz and Thompson's, A Generalization of Sampling
    Without Replacement From a Finite Universe, JASA 1952.
    """
    share = tf.clip_by_value(tf.cast(sampling_probability, tf.float32), 1e-12, 1.0 - 1e-6)
    missed = tf.cast(draws, tf.float32) * tf.math.log1p(-share)
    if items is not None:
        # In a catalogue of one item nothing that is drawn misses it, and no draw does.
        missed += tf.math.multiply_no_nan(
            tf.math.log1p(-1.0 / items), tf.cast(uniform_draws, tf.float32)
        )
    return tf.math.log(-tf.math.expm1(missed))
