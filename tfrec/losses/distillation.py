"""What a student loses against its teacher."""

import tensorflow as tf

_SURE = 1e-6


def distillation(
    outputs: tf.Tensor, taught: tf.Tensor, temperature: float | tf.Tensor = 1.0
) -> tf.Tensor:
    """Cross-entropy of softened probabilities: a student learns how sure its teacher is.

        loss = -T^2 (q log p + (1 - q) log(1 - p))
        q = sigmoid(logit(teacher) / T), p = sigmoid(output / T)

    Without `T^2`, its slope would shrink beside that of a loss of labels as `T` grows.

    Args:
      outputs: `[batch]` logits of the student.
      taught: `[batch]` probabilities of the teacher.
      temperature: `T`, above 0: larger ones make near to 0 and 1 tell more apart.

    Returns:
      `[batch]` float32 losses.

    Source: Hinton, Vinyals and Dean, Distilling the Knowledge in a Neural Network, 2015.
    """
    sure = tf.clip_by_value(tf.cast(taught, tf.float32), _SURE, 1 - _SURE)
    soft = tf.sigmoid((tf.math.log(sure) - tf.math.log1p(-sure)) / temperature)
    losses = tf.nn.sigmoid_cross_entropy_with_logits(
        soft, tf.cast(outputs, tf.float32) / temperature
    )
    return temperature**2 * losses
