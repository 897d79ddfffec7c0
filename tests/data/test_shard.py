from collections.abc import Callable

import numpy as np
import pyarrow as pa

from tfrec.data.catalogue import Catalogue
from tfrec.data.shard import Shard, lists
from tfrec.data.split import Window
from tfrec.features import FeatureSpec

EVENTS = [
    ("b", 10, 1, "web"),
    ("b", 20, 0, None),
    ("b", 20, 1, "app"),
    ("a", 5, 1, "web"),
    ("a", 20, 2, "web"),
    ("a", 29, 1, "web"),
]


def test_events_are_joined_with_the_catalogue(
    make_shard: Callable[..., Shard],
    write_catalogue: Callable[..., Catalogue],
    spec: FeatureSpec,
) -> None:
    catalogue = write_catalogue(["x", "y", "z"], aisle=["dairy", None, "bread"])

    shard = make_shard(EVENTS, spec, catalogue)

    assert shard.users.to_pylist() == list("bbbaaa")
    assert shard.times.tolist() == [10, 20, 20, 5, 20, 29]
    assert shard.raw["sku"].to_pylist() == list("yxyyzy")
    assert shard.raw["aisle"].to_pylist() == [None, "dairy", None, None, "bread", None]
    assert shard.raw["channel"].to_pylist() == ["web", None, "app", "web", "web", "web"]
    assert shard.user_starts.tolist() == [0, 3]


def test_window_holds_events_from_its_start_to_before_its_end(
    make_shard: Callable[..., Shard],
    write_catalogue: Callable[..., Catalogue],
    spec: FeatureSpec,
) -> None:
    catalogue = write_catalogue(["x", "y", "z"], aisle=[None] * 3)

    shard = make_shard(EVENTS, spec, catalogue)

    assert shard.in_window(Window(10, 20)).tolist() == [0]
    assert shard.in_window(Window(20, 29)).tolist() == [1, 2, 4]


def test_repeats_equal_a_plain_loop(
    make_shard: Callable[..., Shard],
    write_catalogue: Callable[..., Catalogue],
    spec: FeatureSpec,
) -> None:
    random = np.random.default_rng(0)
    events = sorted(
        (f"u{user}", int(time), int(row), "web")
        for user, time, row in random.integers([5, 300, 20], size=[200, 3])
    )
    catalogue = write_catalogue([f"sku-{n:02d}" for n in range(20)], aisle=[None] * 20)

    repeats = make_shard(events, spec, catalogue).repeats

    bought: set[tuple[str, int]] = set()
    for (user, _, row, _), repeat in zip(events, repeats.tolist(), strict=True):
        assert repeat == ((user, row) in bought)
        bought.add((user, row))


def test_lists_are_made_of_ranges_of_rows() -> None:
    values = pa.array(["a", "b", "c", "d"])

    made = lists(values, np.array([1, 0, 3]), np.array([3, 0, 4]))

    assert made.to_pylist() == [["b", "c"], [], ["d"]]


def test_lists_leave_missing_values_out() -> None:
    values = pa.array([None, "b", None, "d"])

    made = lists(values, np.array([0, 0, 2, 3]), np.array([4, 1, 4, 3]))

    assert made.to_pylist() == [["b", "d"], [], ["d"], []]
