import numpy as np
import pytest
import tensorflow as tf

from tfrec.errors import UserError
from tfrec.features.parsing import REPEAT, TIME
from tfrec.training.batches import check_shares, example_weight, steps_per_epoch
from tfrec.training.config import TrainingConfig


def test_a_batch_larger_than_the_data_is_refused() -> None:
    assert steps_per_epoch(1000, 300) == 3
    with pytest.raises(UserError, match=r"training.batch_size: 300 is more than the 299 training"):
        steps_per_epoch(299, 300)


def test_workers_whose_files_do_not_fill_a_batch_are_refused() -> None:
    three = TrainingConfig(workers=3, batch_size=100)

    check_shares([60, 50, 100, 40, 50], three, shares=3)
    with pytest.raises(
        UserError,
        match=r"training.workers: 3 share 4 files of training examples, and one .* 50 examples",
    ):
        check_shares([60, 50, 100, 40], three, shares=3)
    with pytest.raises(UserError, match=r"training.workers: 3 share 2 files .* gets 0 examples"):
        check_shares([500, 500], three, shares=3)


def test_examples_weigh_by_age_and_repetition() -> None:
    config = TrainingConfig(recency_half_life="10d", repeat_weight=0.25)
    newest = 1_600_000_000
    ages = np.array([0, 10, 20, 20]) * 86_400
    batch = {
        TIME: tf.constant(newest - ages, tf.int64),
        REPEAT: tf.constant([0, 0, 0, 1], tf.int64),
    }

    weights = example_weight(config, newest)(batch)

    np.testing.assert_allclose(weights, [1.0, 0.5, 0.25, 0.0625], rtol=1e-6)


def test_ages_of_seconds_are_told_apart_at_times_of_today() -> None:
    newest = 1_600_000_000
    batch = {
        TIME: tf.constant([newest, newest - 1, newest - 2], tf.int64),
        REPEAT: tf.constant([0, 0, 0], tf.int64),
    }

    weights = example_weight(TrainingConfig(recency_half_life="1s"), newest)(batch)

    np.testing.assert_allclose(weights, [1.0, 0.5, 0.25], rtol=1e-6)


def test_without_settings_all_examples_weigh_alike() -> None:
    batch = {TIME: tf.constant([0, 10**9], tf.int64), REPEAT: tf.constant([0, 1], tf.int64)}
    np.testing.assert_array_equal(example_weight(TrainingConfig(), 10**9)(batch), [1.0, 1.0])
