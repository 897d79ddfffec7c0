import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from shop import Shop

from tfrec.config import validate
from tfrec.data.config import DataConfig
from tfrec.data.prepared import PreparedData
from tfrec.errors import UserError
from tfrec.features import FeatureSpec
from tfrec.training.checkpoints import latest
from tfrec.training.job import TrainingJob
from tfrec.training.step import TrainingStep, make_step
from tfrec.training.trainer import train
from tfrec.training.warm_start import warm_start

ADAM = {"kind": "lazy_adam", "weight_decay": 0.01}
OPTIMIZERS = {"tables": ADAM, "dense": {"kind": "adagrad", "weight_decay": 0.01}}

MakeJob = Callable[..., TrainingJob]
Learned = dict[str, dict[str, np.ndarray]]


@pytest.fixture(scope="module")
def later(shop: Shop, spec: FeatureSpec, tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    """The shop's data of another day: some shoppers and products came, and others went."""
    from tfrec.stages.prepare import prepare

    later = Shop(tmp_path_factory.mktemp("later"))
    items, events = pq.read_table(shop.items), pq.read_table(shop.events)
    pq.write_table(renamed(items, "sku", "^sku-00"), later.items)
    events = renamed(events, "sku", "^sku-00")
    events = renamed(events, "shopper", "^user-1")
    pq.write_table(events, later.events)
    data = validate(DataConfig, later.config()["data"], "data")
    return PreparedData(prepare(data, spec, later.folder / "prepare").path)


def renamed(table: pa.Table, column: str, beginning: str) -> pa.Table:
    """Gives ten rows of a hundred other names, twice as many of them."""
    names = pc.replace_substring_regex(table[column], beginning, "a-new-one-")
    return table.set_column(table.column_names.index(column), column, names)


@pytest.fixture(scope="module")
def make_job(
    shop: Shop, prepared: PreparedData, tmp_path_factory: pytest.TempPathFactory
) -> MakeJob:
    def make(data: PreparedData = prepared, model: Any = None, **training: object) -> TrainingJob:
        settings = {"epochs": 1, "optimizers": OPTIMIZERS, **training}
        config = shop.config(training=settings, model=model or {})
        job = TrainingJob(
            features=config["features"],
            model=config["model"],
            training=config["training"],
            prepared=data.path,
            output=tmp_path_factory.mktemp("job"),
        )
        job.write()
        return job

    return make


@pytest.fixture(scope="module")
def earlier(make_job: MakeJob) -> TrainingJob:
    """A run that has ended."""
    job = make_job()
    train(job, lambda _: None)
    return job


def fresh(job: TrainingJob) -> TrainingStep:
    tf.keras.utils.set_random_seed(7)
    return make_step(job.build_model(), job.training)


def restored(job: TrainingJob) -> TrainingStep:
    step = fresh(job)
    state = tf.train.Checkpoint(model=step.model, optimizer=step.optimizer)
    state.restore(latest(job.checkpoints)).assert_existing_objects_matched()
    return step


def tables(job: TrainingJob, step: TrainingStep) -> Learned:
    """`feature=value` -> what is in its row: floats of the table and of the slots."""
    learned = {}
    for group in step.model.embedding.groups:
        (table,) = step.model.embedding.group_tables[group.name].shards
        columns = {"table": table, **step.optimizer.tables[group.name].slots_of(table)}
        for name in group.offsets:
            values = job.fitted_vocabularies[name].read_text().splitlines()
            for row, value in enumerate([*values, "<unknown>"]):
                place = (row + group.offsets[name]) * group.stride % group.rows
                learned[f"{name}={value}"] = {
                    column: variable.numpy()[place] for column, variable in columns.items()
                }
    return learned


def assert_same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray], steps: int) -> None:
    assert found.keys() == expected.keys()
    for column, floats in expected.items():
        shift = steps if column == "last_step" else 0
        np.testing.assert_allclose(found[column], floats - shift, rtol=1e-6)


def test_values_keep_by_name_what_was_learned_for_them_and_new_ones_start_afresh(
    earlier: TrainingJob, make_job: MakeJob, later: PreparedData
) -> None:
    job = make_job(later, warm_start=earlier.output)
    old, step = restored(earlier), fresh(job)
    before, start = tables(earlier, old), tables(job, step)

    warm_start(job, step)

    steps = int(old.optimizer.iterations)
    assert steps > 0
    kept = [value for value in start if value in before]
    new = [value for value in start if value not in before]
    assert "sku=sku-010" in kept
    assert "sku=<unknown>" in kept
    assert {"sku=a-new-one-1", "shopper=a-new-one-2"} <= set(new)
    after = tables(job, step)
    for value in kept:
        assert_same(after[value], before[value], steps)
    for value in new:
        assert_same(after[value], start[value], steps=0)


def test_weights_and_their_slots_are_taken_over_and_steps_count_from_zero(
    earlier: TrainingJob, make_job: MakeJob
) -> None:
    job = make_job(warm_start=earlier.output)
    old, step = restored(earlier), fresh(job)

    warm_start(job, step)

    assert step.optimizer.iterations == 0
    for mine, theirs in zip(step.model.weights, old.model.weights, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    dense, old_dense = step.optimizer.dense, old.optimizer.dense
    for mine, theirs in (
        (getattr(step.model, tower).weights[0], getattr(old.model, tower).weights[0])
        for tower in ("_query_tower", "_item_tower")
    ):
        slots, expected = dense.slots_of(mine), old_dense.slots_of(theirs)
        np.testing.assert_array_equal(slots["accumulator"], expected["accumulator"])
        steps = old.optimizer.iterations.numpy()
        np.testing.assert_array_equal(slots["last_step"], expected["last_step"] - steps)


def test_how_often_items_come_is_estimated_anew_as_their_rows_are_other_ones(
    make_job: MakeJob, later: PreparedData
) -> None:
    streaming = {"item_frequency": "streaming"}
    first = make_job(model=streaming)
    train(first, lambda _: None)
    job = make_job(later, streaming, warm_start=first.output)
    step = fresh(job)

    warm_start(job, step)

    every = tf.range(120, dtype=tf.int64)
    assert (step.model._frequency.chance(every).numpy() == 1).all()
    assert (restored(first).model._frequency.chance(every).numpy() < 1).any()


def test_the_run_may_have_been_moved_and_its_data_removed(
    make_job: MakeJob, later: PreparedData, tmp_path: Path
) -> None:
    earlier = make_job()
    train(earlier, lambda _: None)
    moved = earlier.output.rename(tmp_path / "moved")
    file = moved / "job.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "prepared": "/gone"}))
    job = make_job(later, warm_start=moved)
    step = fresh(job)
    start = tables(job, step)

    warm_start(job, step)

    assert (tables(job, step)["sku=sku-010"]["table"] != start["sku=sku-010"]["table"]).all()


def test_training_that_starts_warm_starts_with_the_loss_it_had(
    earlier: TrainingJob, make_job: MakeJob
) -> None:
    cold, warm = make_job(seed=1), make_job(seed=1, warm_start=earlier.output)
    for job in (cold, warm):
        train(job, lambda _: None)

    first, cold_loss, warm_loss = (
        json.loads(job.log.read_text())["loss"] for job in (earlier, cold, warm)
    )
    assert cold_loss == pytest.approx(first, rel=0.1)
    assert warm_loss < 0.95 * cold_loss


def test_new_learning_rates_hold_and_state_of_other_optimizers_starts_anew(
    earlier: TrainingJob, make_job: MakeJob, caplog: pytest.LogCaptureFixture
) -> None:
    job = make_job(
        warm_start=earlier.output,
        optimizers={
            "tables": {**ADAM, "learning_rate": 0.5},
            "features": {"aisle": {"kind": "rowwise_adagrad"}},
            "dense": {"kind": "sgd", "learning_rate": 0.25},
        },
    )
    old, step = restored(earlier), fresh(job)

    warm_start(job, step)

    assert step.optimizer.dense.learning_rate == 0.25
    assert step.optimizer.tables["lazy_adam_8"].learning_rate == 0.5
    before, after = tables(earlier, old), tables(job, step)
    np.testing.assert_array_equal(after["sku=sku-010"]["m"], before["sku=sku-010"]["m"])
    aisle = after["aisle=aisle-1"]
    np.testing.assert_array_equal(aisle["table"], before["aisle=aisle-1"]["table"])
    np.testing.assert_allclose(aisle["accumulator"], 1e-8)
    assert "of table aisle starts anew" in caplog.text
    assert "of dense weights starts anew" in caplog.text


def test_other_features_are_refused_by_name(earlier: TrainingJob, make_job: MakeJob) -> None:
    job = make_job(warm_start=earlier.output)
    features = job.features.model_dump()
    features["sku"]["embedding"] = 16
    del features["aisle"]
    job = job.model_copy(update={"features": FeatureSpec.model_validate(features)})

    with pytest.raises(
        UserError,
        match=r"training.warm_start: .* other features: sku.embedding was 8, is 16; aisle is gone;",
    ):
        warm_start(job, fresh(earlier))


def test_another_model_is_refused_with_the_one_that_learned(
    earlier: TrainingJob, make_job: MakeJob
) -> None:
    job = make_job(model={"embedding_dim": 16}, warm_start=earlier.output)

    with pytest.raises(UserError, match=r'the model .*"embedding_dim":8.*another one') as caught:
        warm_start(job, fresh(job))

    assert "\n" not in str(caught.value)


def test_a_directory_without_a_run_or_a_checkpoint_is_refused(
    earlier: TrainingJob, make_job: MakeJob, tmp_path: Path
) -> None:
    nothing = make_job(warm_start=tmp_path)
    with pytest.raises(UserError, match=r"training.warm_start: .*job.json: not there"):
        warm_start(nothing, fresh(nothing))
    not_trained = make_job(warm_start=make_job().output)
    with pytest.raises(UserError, match=r"training.warm_start: .*no whole checkpoint"):
        warm_start(not_trained, fresh(not_trained))
