from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tfrec.embeddings import transfer as transfer_module
from tfrec.embeddings.groups import Group, group_tables
from tfrec.embeddings.optimizers.config import (
    AdagradSettings,
    FtrlSettings,
    LazyAdamSettings,
    OptimizerSettings,
)
from tfrec.embeddings.optimizers.make import make_optimizer
from tfrec.embeddings.optimizers.sparse import LAST_STEP
from tfrec.embeddings.transfer import TABLE, SavedGroups, transfer
from tfrec.features.plan import Table

TABLES = {"shopper": Table(9, 4, 1), "sku": Table(14, 4, 2), "aisle": Table(5, 4, 1)}
ADAM = LazyAdamSettings(kind="lazy_adam", weight_decay=0.01)


class Trained:
    """Tables with random floats and slots, some of them in several shards."""

    def __init__(
        self,
        settings: Mapping[str, OptimizerSettings],
        tables: Mapping[str, Table] = TABLES,
        shards: int = 1,
        seed: int = 0,
    ) -> None:
        self.groups = group_tables(tables, lambda name: settings.get(name, settings[""]))
        self.shards = shards
        self.random = np.random.default_rng(seed)
        self.columns = {group.name: self._columns(group) for group in self.groups}

    def of(self, table: str, column: str = TABLE) -> np.ndarray:
        """What stands in the rows of a table, in their order."""
        (group,) = [group for group in self.groups if table in group.offsets]
        rows = np.concatenate([part.numpy() for part in self.columns[group.name][column]])
        ends = [*list(group.offsets.values())[1:], group.rows]
        count = dict(zip(group.offsets, ends, strict=True))[table] - group.offsets[table]
        return rows[
            [(row + group.offsets[table]) * group.stride % group.rows for row in range(count)]
        ]

    def save(self, folder: Path) -> SavedGroups:
        """Writes a checkpoint like that of a training."""
        model, optimizer = tf.train.Checkpoint(), tf.train.Checkpoint()
        tables = {name: whole(columns[TABLE]) for name, columns in self.columns.items()}
        slots = {
            name: [tf.Variable(0), *(whole(c) for slot, c in columns.items() if slot != TABLE)]
            for name, columns in self.columns.items()
        }
        model.embedding = tf.train.Checkpoint(
            group_tables={name: tf.train.Checkpoint(table=t) for name, t in tables.items()}
        )
        optimizer.tables = {
            name: tf.train.Checkpoint(_variables=own) for name, own in slots.items()
        }
        prefix = tf.train.Checkpoint(model=model, optimizer=optimizer).save(folder / "ckpt")
        return SavedGroups(prefix, self.groups, lambda rows: self.shards)

    def _columns(self, group: Group) -> dict[str, list[tf.Variable]]:
        slots = make_optimizer(group.optimizer).all_slots()
        widths = {slot: 1 if slots[slot].per_row else group.dim for slot in slots}
        return {
            name: self._parts(group.rows, width)
            for name, width in {TABLE: group.dim, **widths}.items()
        }

    def _parts(self, rows: int, width: int) -> list[tf.Variable]:
        values = self.random.normal(size=[rows, width]).astype(np.float32)
        return [tf.Variable(part) for part in np.array_split(values, self.shards)]


def whole(parts: Sequence[tf.Variable]) -> object:
    """What a checkpoint holds of a variable's shards."""
    return parts[0] if len(parts) == 1 else tf.__internal__.distribute.ShardedVariable(parts)


def same(rows: np.ndarray) -> np.ndarray:
    return rows


NOTHING_MOVES = dict.fromkeys(TABLES, same)


@pytest.mark.parametrize(("shards", "new_shards"), [(1, 1), (3, 1), (1, 2), (3, 2)])
def test_rows_and_slots_are_the_same_whatever_the_number_of_shards(
    tmp_path: Path, shards: int, new_shards: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer_module, "_ROWS_AT_ONCE", 4)
    old = Trained({"": ADAM}, shards=shards)
    new = Trained({"": ADAM}, shards=new_shards, seed=1)

    transfer(old.save(tmp_path), new.groups, new.columns, NOTHING_MOVES, steps=100)

    for table in TABLES:
        for column in (TABLE, "m", "v"):
            np.testing.assert_array_equal(new.of(table, column), old.of(table, column))
        expected = old.of(table, LAST_STEP) - 100
        np.testing.assert_allclose(new.of(table, LAST_STEP), expected, rtol=1e-6)


def test_rows_go_where_they_belong_now_and_others_stay(tmp_path: Path) -> None:
    grown = {**TABLES, "sku": Table(17, 4, 2)}
    moved = np.array([5, -1, 0, 14, 3, -1, 9, 8, 11, 1, 12, 10, 15, 16])
    old, new = Trained({"": ADAM}, shards=2), Trained({"": ADAM}, grown, seed=1)
    fresh = new.of("sku")

    transfer(
        old.save(tmp_path), new.groups, new.columns, {**NOTHING_MOVES, "sku": moved.take}, steps=0
    )

    expected = fresh.copy()
    for row, target in enumerate(moved):
        if target >= 0:
            expected[target] = old.of("sku")[row]
    np.testing.assert_array_equal(new.of("sku"), expected)
    np.testing.assert_array_equal(new.of("shopper"), old.of("shopper"))


def test_state_of_another_kind_of_optimizer_is_left_behind(tmp_path: Path) -> None:
    adagrad, ftrl = AdagradSettings(kind="adagrad"), FtrlSettings(kind="ftrl")
    old = Trained({"": adagrad}, shards=2)
    new = Trained({"": adagrad, "sku": ftrl}, seed=1)
    fresh = new.of("sku", "accumulator")

    transfer(old.save(tmp_path), new.groups, new.columns, NOTHING_MOVES, steps=0)

    np.testing.assert_array_equal(new.of("sku"), old.of("sku"))
    np.testing.assert_array_equal(new.of("sku", "accumulator"), fresh)
    np.testing.assert_array_equal(
        new.of("shopper", "accumulator"), old.of("shopper", "accumulator")
    )


def test_slots_that_only_one_of_both_has_are_left_alone(tmp_path: Path) -> None:
    without_decay = LazyAdamSettings(kind="lazy_adam")
    old, new = Trained({"": without_decay}), Trained({"": ADAM}, seed=1)
    fresh = new.of("sku", LAST_STEP)

    transfer(old.save(tmp_path), new.groups, new.columns, NOTHING_MOVES, steps=0)

    np.testing.assert_array_equal(new.of("sku", "v"), old.of("sku", "v"))
    np.testing.assert_array_equal(new.of("sku", LAST_STEP), fresh)


def test_a_group_of_one_row_moves(tmp_path: Path) -> None:
    one = {"sku": Table(1, 4, 1)}
    old, new = Trained({"": ADAM}, one), Trained({"": ADAM}, one, seed=1)

    transfer(old.save(tmp_path), new.groups, new.columns, {"sku": same}, steps=0)

    np.testing.assert_array_equal(new.of("sku"), old.of("sku"))
