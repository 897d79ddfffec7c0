import math

import numpy as np
import pytest
import tensorflow as tf

from tfrec.losses import distillation

OUTPUTS = [-3.0, -0.5, 0.0, 1.0, 4.0]
TAUGHT = [0.9, 0.5, 0.01, 0.7310586, 0.3]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_losses_equal_the_definition(temperature: float) -> None:
    losses = distillation(tf.constant(OUTPUTS), tf.constant(TAUGHT), temperature)

    for output, teacher, loss in zip(OUTPUTS, TAUGHT, losses.numpy(), strict=True):
        q = 1 / (1 + math.exp(-math.log(teacher / (1 - teacher)) / temperature))
        p = 1 / (1 + math.exp(-output / temperature))
        expected = -(temperature**2) * (q * math.log(p) + (1 - q) * math.log(1 - p))
        assert loss == pytest.approx(expected, rel=1e-4)


def slope(outputs: list[float], taught: list[float], temperature: float) -> np.ndarray:
    given = tf.constant(outputs)
    with tf.GradientTape() as tape:
        tape.watch(given)
        loss = tf.reduce_sum(distillation(given, tf.constant(taught), temperature))
    return tape.gradient(loss, given).numpy()


@pytest.mark.parametrize("temperature", [1.0, 5.0])
def test_student_that_is_as_sure_as_its_teacher_learns_nothing_more(temperature: float) -> None:
    taught = [1 / (1 + math.exp(-output)) for output in OUTPUTS]

    np.testing.assert_allclose(slope(OUTPUTS, taught, temperature), 0, atol=1e-4)


def test_slope_does_not_shrink_as_the_temperature_grows() -> None:
    # The limit is a quarter of the difference of the logits.
    found = slope([1.0], [1 / (1 + math.exp(1.0))], 100.0)

    np.testing.assert_allclose(found, (1.0 - -1.0) / 4 * 1.0, rtol=1e-3)


def test_a_teacher_that_is_certain_costs_a_finite_amount() -> None:
    losses = distillation(tf.constant([-5.0, 5.0]), tf.constant([1.0, 0.0]))

    np.testing.assert_allclose(losses, [5.0067, 5.0067], rtol=1e-3)
