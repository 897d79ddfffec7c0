"""Rows that are given out while a model trains, and what was learned in them."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from toy_model import SHOPPERS, TABLES, Batch, make_batch, model_inputs, spec

from tfrec.config import validate
from tfrec.embeddings.groups import group_tables
from tfrec.features import FeatureSpec
from tfrec.features.parsing import TIME, WEIGHT
from tfrec.features.plan import Dynamic, Table
from tfrec.features.spec import EvictByAge
from tfrec.models import TwoTower
from tfrec.training.config import TrainingConfig
from tfrec.training.step import TrainingStep, make_step

DAY = 86_400
ROOM = 8
"""Shoppers for whom there is a row."""


def make_dynamic_step() -> TrainingStep:
    """Makes a step whose shoppers get one of eight rows when they are seen a second time."""
    features = spec().model_dump(mode="json", exclude_defaults=True)
    evict = {"by": "age", "after": "2d"}
    features["shopper"] |= {"lookup": "dynamic", "rows": ROOM, "min_count": 2, "evict": evict}
    dynamic = Dynamic(min_count=2, evict=EvictByAge(by="age", after=2 * DAY))
    tables = {**TABLES, "shopper": Table(ROOM + 2, 8, unknown_rows=2, dynamic=dynamic)}
    config = TrainingConfig(strategy="single", batch_size=4)
    inputs = dataclasses.replace(
        model_inputs(),
        spec=validate(FeatureSpec, features),
        tables=tables,
        groups=group_tables(tables, config.optimizers.of_table),
    )
    tf_keras.utils.set_random_seed(0)
    model = TwoTower(inputs, TwoTower.Settings(embedding_dim=8))
    model.make_variables()
    return make_step(model, config)


def visit(shoppers: list[int], day: int) -> Batch:
    batch = make_batch(len(shoppers), seed=day)
    batch["shopper"] = tf.constant(shoppers, tf.int64) * 1_000_003 + 17
    batch[TIME] = tf.fill([len(shoppers)], tf.constant(1_600_000_000 + day * DAY, tf.int64))
    return batch


def row_of(step: TrainingStep, shopper: int) -> int:
    ids = tf.constant([shopper], tf.int64) * 1_000_003 + 17
    return int(step.model.embedding.vocabularies["shopper"](ids)[0])


def learned(step: TrainingStep, row: int) -> tuple[np.ndarray, float]:
    """The floats of a shopper's row, and its optimiser's accumulator."""
    embedding = step.model.embedding
    (group,) = (group for group in embedding.groups if "shopper" in group.offsets)
    (shard,) = embedding.group_tables[group.name].shards
    place = int(group.place("shopper", tf.constant(row, tf.int64)))
    slots = step.optimizer.tables[group.name].slots_of(shard)
    return shard.numpy()[place], float(slots["accumulator"][place, 0])


def test_a_shopper_seen_often_enough_gets_a_row_that_learns() -> None:
    step = make_dynamic_step()

    step.train_step(visit([1, 2, 3, 4], day=0))
    assert all(row_of(step, shopper) >= ROOM for shopper in (1, 2, 3, 4))
    for _ in range(3):  # one a step enters a bucket
        step.train_step(visit([1, 2, 1, 2], day=0))

    rows = {row_of(step, shopper) for shopper in (1, 2)}
    assert len(rows) == 2
    assert max(rows) < ROOM
    assert min(learned(step, row)[1] for row in rows) > 1e-6
    assert row_of(step, 3) >= ROOM


def test_new_shoppers_of_another_day_leave_the_rows_of_the_old_ones_alone() -> None:
    step = make_dynamic_step()
    for _ in range(5):
        step.train_step(visit([1, 2, 3, 4], day=0))
    before = {shopper: row_of(step, shopper) for shopper in (1, 2, 3, 4)}
    old = {shopper: learned(step, row)[0] for shopper, row in before.items()}

    for _ in range(5):
        step.train_step(visit([21, 22, 23, 23], day=1))

    assert {shopper: row_of(step, shopper) for shopper in before} == before
    for shopper, row in before.items():
        np.testing.assert_array_equal(learned(step, row)[0], old[shopper])
    assert {row_of(step, shopper) for shopper in (21, 22, 23)} < set(range(ROOM))


def test_a_row_taken_from_a_shopper_who_left_forgets_what_it_learned() -> None:
    step = make_dynamic_step()
    old = list(range(ROOM))
    for _ in range(10):
        step.train_step(visit(old, day=0))
    before = {row: learned(step, row) for row in range(ROOM)}

    late = visit([25, 25, 25, 26], day=5)
    late[WEIGHT] = tf.zeros([4])  # so that nothing new is learned at once
    step.train_step(late)

    row = row_of(step, 25)
    assert row < ROOM
    (forgot,) = [shopper for shopper in old if row_of(step, shopper) >= ROOM]
    assert forgot < SHOPPERS
    floats, accumulator = learned(step, row)
    assert accumulator == pytest.approx(1e-8) != before[row][1]
    assert np.abs(floats).max() <= 0.05
    assert np.abs(floats - before[row][0]).max() > 1e-3


def test_a_checkpoint_holds_who_has_which_row(tmp_path: object) -> None:
    step = make_dynamic_step()
    for _ in range(5):
        step.train_step(visit([1, 2, 3, 4], day=0))
    path = tf.train.Checkpoint(model=step.model).write(f"{tmp_path}/ckpt")

    again = make_dynamic_step()
    tf.train.Checkpoint(model=again.model).read(path).assert_consumed()

    rows = [[row_of(each, shopper) for shopper in (1, 2, 3, 4, 5)] for each in (step, again)]
    assert rows[0] == rows[1]
