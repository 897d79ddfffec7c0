import numpy as np
import pytest

from tfrec.embeddings.groups import Group, group_tables
from tfrec.embeddings.optimizers.config import (
    AdagradSettings,
    OptimizerSettings,
    RowwiseAdagradSettings,
    SgdSettings,
)
from tfrec.features.plan import Table

ROWWISE, SGD = RowwiseAdagradSettings(), SgdSettings(kind="sgd")


def alike(table: str) -> OptimizerSettings:
    return ROWWISE


def group_of(rows: int) -> Group:
    return Group("one", 4, rows, {"table": 0}, ROWWISE)


def test_tables_of_one_width_and_optimiser_lie_behind_each_other() -> None:
    tables = {"a": Table(10, 8), "b": Table(3, 4), "c": Table(5, 8), "d": Table(7, 8)}

    wide, narrow = group_tables(tables, alike)

    assert (wide.name, wide.dim, wide.rows) == ("rowwise_adagrad_8", 8, 22)
    assert wide.offsets == {"a": 0, "c": 10, "d": 15}
    assert (narrow.name, narrow.dim, narrow.rows) == ("rowwise_adagrad_4", 4, 3)
    assert wide.optimizer == narrow.optimizer == ROWWISE


def test_tables_of_different_optimisers_or_settings_are_apart() -> None:
    settings = {"a": ROWWISE, "b": SGD, "c": RowwiseAdagradSettings(learning_rate=0.5)}
    tables = dict.fromkeys([*settings, "d"], Table(10, 8))

    groups = group_tables(tables, lambda name: settings.get(name, ROWWISE))

    members = {group.name: [*group.offsets] for group in groups}
    assert members == {
        "rowwise_adagrad_8": ["a", "d"],
        "sgd_8": ["b"],
        "rowwise_adagrad_8_2": ["c"],
    }
    assert groups[2].optimizer == settings["c"]


def test_equal_settings_written_differently_are_one_group() -> None:
    tables = {"a": Table(10, 8), "b": Table(10, 8)}
    settings = {
        "a": AdagradSettings(kind="adagrad"),
        "b": AdagradSettings(kind="adagrad", weight_decay=0, learning_rate=0.05),
    }

    assert len(group_tables(tables, settings.__getitem__)) == 1


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 6, 10, 64, 97, 100, 1000, 30030, 2**16])
def test_every_row_has_a_place_of_its_own(rows: int) -> None:
    places = group_of(rows).place("table", np.arange(rows))

    assert sorted(places) == list(range(rows))


def test_tables_of_a_group_do_not_meet() -> None:
    (group,) = group_tables({"a": Table(60, 8), "b": Table(40, 8)}, alike)

    places = {*group.place("a", np.arange(60)), *group.place("b", np.arange(40))}

    assert places == set(range(100))


@pytest.mark.parametrize("servers", [2, 3, 8])
def test_the_first_rows_are_spread_evenly_over_any_number_of_servers(servers: int) -> None:
    rows = 100_000
    busiest = group_of(rows).place("table", np.arange(1000))

    counts = np.bincount(busiest * servers // rows, minlength=servers)

    assert np.abs(counts - 1000 / servers).max() <= 3


def test_places_of_the_largest_tables_do_not_overflow() -> None:
    rows = 1_000_000_000
    group = group_of(rows)

    (place,) = group.place("table", np.array([rows - 1]))

    assert place == (rows - 1) * group.stride % rows
