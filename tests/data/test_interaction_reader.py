from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tfrec.config import validate
from tfrec.data.catalogue import Catalogue
from tfrec.data.config import DataConfig
from tfrec.data.interaction_reader import read_interactions
from tfrec.data.prepared import TEST, TRAIN, VALIDATION, PreparedData
from tfrec.errors import UserError


@pytest.mark.parametrize("part", [TRAIN, VALIDATION, TEST])
def test_parts_hold_the_shops_events_of_their_time(
    prepared: PreparedData, data_config: DataConfig, log: list, part: str
) -> None:
    rows = dict(zip(Catalogue(prepared.catalogue).ids, range(10**6), strict=False))
    window = prepared.parts[part]
    expected = defaultdict(list)
    for event in log:
        if window.first <= event.time <= window.last:
            expected[event.user].append((event.time, rows[event.sku]))

    read = read_interactions(prepared, data_config, part)

    found = defaultdict(list)
    for user, item, time in zip(read.users, read.items, read.times, strict=True):
        found[user].append((time, item))
    assert sorted(map(sorted, found.values())) == sorted(map(sorted, expected.values()))
    assert read.n_users == window.shoppers == len(found)
    assert read.n_items == len(rows)
    np.testing.assert_array_equal(
        np.bincount(read.items, minlength=read.n_items), prepared.item_counts(part)
    )


def test_events_carry_the_weight_of_their_type_and_those_of_none_are_left_out(
    output: PreparedData,
    write_catalogue: Callable[..., Catalogue],
    write_events: Callable[..., Path],
    make_config: Callable[..., DataConfig],
) -> None:
    config = make_config(
        {"weights": {"buy": 1, "view": 0.25, "shown": 0}}, split={"kind": "leave_last_out"}
    )
    write_catalogue(list("abc"))
    write_events([("u", 10, 0, "buy", None), ("u", 20, 1, "shown", None)], "events-0")
    write_events([("v", 5, 2, "view", None), ("v", 6, 2, "buy", None)], "events-1")

    read = read_interactions(output, config)

    assert read.users.tolist() == [0, 1, 1]
    assert read.items.tolist() == [0, 2, 2]
    assert read.weights.tolist() == [1, 0.25, 1]
    assert read.times.tolist() == [10, 5, 6]
    kinds = [read.users.dtype, read.items.dtype, read.weights.dtype, read.times.dtype]
    assert kinds == [np.int64, np.int64, np.float32, np.int64]


def test_an_empty_part_is_refused_by_name(
    output: PreparedData,
    write_catalogue: Callable[..., Catalogue],
    write_events: Callable[..., Path],
    make_config: Callable[..., DataConfig],
) -> None:
    write_catalogue(list("abc"))
    write_events([("u", 10, 0, "buy", None)])

    with pytest.raises(UserError, match=r"^data\.split: no event of test counts; "):
        read_interactions(output, make_config(split={"kind": "leave_last_out"}), TEST)


def test_the_config_that_preparation_keeps_divides_the_same(
    prepared: PreparedData, data_config: DataConfig
) -> None:
    from tfrec.stages.artifact import Artifact

    kept = validate(DataConfig, Artifact(prepared.path).manifest.config["data"], "data")

    first, second = (read_interactions(prepared, config) for config in (kept, data_config))
    np.testing.assert_array_equal(first.matrix().toarray(), second.matrix().toarray())
