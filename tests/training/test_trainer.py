import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from shop import Shop

from tfrec.data.prepared import PreparedData
from tfrec.errors import UserError
from tfrec.features import FeatureSpec
from tfrec.features.parsing import REPEAT, TIME
from tfrec.training.config import TrainingConfig
from tfrec.training.job import TrainingJob
from tfrec.training.trainer import (
    Progress,
    check_shares,
    example_weight,
    steps_per_epoch,
    train,
)


def make_job(shop: Shop, prepared: PreparedData, output: Path, **training: object) -> TrainingJob:
    config = shop.config(training=training)
    return TrainingJob(
        features=config["features"],
        model=config["model"],
        training=config["training"],
        prepared=prepared.path,
        output=output,
    )


def epochs(job: TrainingJob) -> list[dict[str, float]]:
    return [json.loads(line) for line in job.log.read_text().splitlines()]


def test_training_goes_on_behind_the_last_checkpoint(
    shop: Shop, prepared: PreparedData, tmp_path: Path
) -> None:
    train(make_job(shop, prepared, tmp_path, epochs=1), lambda _: None)
    told: list[Progress] = []
    job = make_job(shop, prepared, tmp_path, epochs=3)

    train(job, told.append)

    assert [line["epoch"] for line in epochs(job)] == [1, 2, 3]
    assert epochs(job)[2]["loss"] < epochs(job)[0]["loss"]
    assert told[-1].step == told[-1].steps
    assert told[0].step > told[-1].steps // 3 - 1


def test_a_seed_makes_training_repeatable(
    shop: Shop, prepared: PreparedData, tmp_path: Path
) -> None:
    jobs = [
        make_job(shop, prepared, tmp_path / name, epochs=1, seed=seed)
        for name, seed in (("first", 1), ("second", 1), ("other", 2))
    ]
    for job in jobs:
        job.output.mkdir()
        train(job, lambda _: None)

    first, second, other = (epochs(job)[0]["loss"] for job in jobs)
    assert first == pytest.approx(second, rel=1e-5)
    assert first != pytest.approx(other, rel=1e-5)


def test_training_in_two_goes_sees_the_same_batches_as_in_one(
    shop: Shop, prepared: PreparedData, tmp_path: Path
) -> None:
    def go(name: str, *, epochs: int) -> TrainingJob:
        job = nothing_hidden(make_job(shop, prepared, tmp_path / name, epochs=epochs))
        job.output.mkdir(exist_ok=True)
        train(job, lambda _: None)
        return job

    in_one = go("one", epochs=2)
    go("two", epochs=1)
    in_two = go("two", epochs=2)

    losses = [[line["loss"] for line in epochs(job)] for job in (in_one, in_two)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)


def nothing_hidden(job: TrainingJob) -> TrainingJob:
    """Takes away what a model draws at random while it trains."""
    features = job.features.model_dump()
    for feature in features.values():
        if "unknown_share" in feature:
            feature["unknown_share"] = 0.0
    return job.model_copy(update={"features": FeatureSpec.model_validate(features)})


def test_a_batch_larger_than_the_data_is_refused() -> None:
    assert steps_per_epoch(1000, 300) == 3
    with pytest.raises(UserError, match=r"training.batch_size: 300 is more than the 299 training"):
        steps_per_epoch(299, 300)


def test_workers_whose_files_do_not_fill_a_batch_are_refused() -> None:
    three = TrainingConfig(workers=3, batch_size=100)

    check_shares([60, 50, 100, 40, 50], three)
    with pytest.raises(
        UserError,
        match=r"training.workers: 3 share 4 files of training examples, and one .* 50 examples",
    ):
        check_shares([60, 50, 100, 40], three)
    with pytest.raises(UserError, match=r"training.workers: 3 share 2 files .* gets 0 examples"):
        check_shares([500, 500], three)


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
