import pytest
import tensorflow as tf

from tfrec.training.running_mean import RunningMean


def test_mean_is_that_of_the_values_since_the_last_reset() -> None:
    mean = RunningMean("loss")
    for value in (100.0, 200.0):
        mean.update_state(tf.constant(value))
    mean.reset_state()

    for value in (1.0, 2.0, 6.0):
        mean.update_state(tf.constant(value))

    assert mean.result().numpy() == pytest.approx(3)
    assert mean.count.numpy() == 3


def test_mean_of_nothing_is_zero() -> None:
    assert RunningMean("loss").result().numpy() == 0


def test_many_values_lose_nothing_to_rounding() -> None:
    mean = RunningMean("loss")
    mean._total.assign(7e7)
    mean.count.assign(1e7)

    for _ in range(10):
        mean.update_state(tf.constant(0.1))

    assert mean._total.numpy() == pytest.approx(7e7 + 1, abs=1e-5)
