import math

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from tfrec.losses import focal

SCORES = tf.constant([-3.0, -0.5, 0.0, 1.0, 4.0, -3.0, -0.5, 0.0, 1.0, 4.0])
LABELS = tf.constant([0, 0, 0, 0, 0, 1, 1, 1, 1, 1])


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("alpha", [None, 0.25])
def test_losses_equal_the_definition(gamma: float, alpha: float | None) -> None:
    losses = focal(SCORES, LABELS, gamma, alpha)

    for score, label, loss in zip(SCORES.numpy(), LABELS.numpy(), losses, strict=True):
        probability = 1 / (1 + math.exp(-score))
        right = probability if label else 1 - probability
        weight = 1 if alpha is None else alpha if label else 1 - alpha
        expected = -weight * (1 - right) ** gamma * math.log(right)
        assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_it_is_keras_focal_loss() -> None:
    keras = tf_keras.losses.binary_focal_crossentropy(
        LABELS[:, tf.newaxis], SCORES[:, tf.newaxis], from_logits=True
    )

    np.testing.assert_allclose(focal(SCORES, LABELS), keras, rtol=1e-5)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("label", [0, 1])
def test_extreme_scores_have_finite_losses_and_gradients(gamma: float, label: int) -> None:
    scores = tf.constant([-1e4, -20.0, 20.0, 1e4])
    with tf.GradientTape() as tape:
        tape.watch(scores)
        losses = focal(scores, [label] * 4, gamma)

    assert np.isfinite(losses).all()
    assert np.isfinite(tape.gradient(losses, scores)).all()


def test_half_precision_is_computed_in_float32() -> None:
    assert focal(tf.cast(SCORES, tf.bfloat16), LABELS).dtype == tf.float32
