import itertools
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest

from tfrec.data.catalogue import Catalogue
from tfrec.data.config import DataConfig
from tfrec.data.shard import Lists, Shard, View
from tfrec.data.splits import (
    PARTS,
    TEST,
    TRAIN,
    VALIDATION,
    ByChance,
    ByFile,
    ByTime,
    ByUser,
    LeaveLastOut,
    Split,
)
from tfrec.features import Sequence

WEIGHTS = {"buy": 2, "view": 1, "shown": 0}
GAP = 10
DAY = 86_400

EVENTS = [
    ("b", 10, 1, "buy", "web"),
    ("b", 20, 0, "view", None),
    ("b", 20, 1, "shown", "app"),
    ("a", 5, 1, "buy", "web"),
    ("a", 20, 2, None, "web"),
    ("a", 3 * DAY, 1, "other", "web"),
]


@pytest.fixture
def config(make_config: Callable[..., DataConfig]) -> DataConfig:
    return make_config({"weights": WEIGHTS, "type_column": "action"}, session_gap=GAP)


@pytest.fixture
def shard(
    make_shard: Callable[..., Shard], write_catalogue: Callable[..., Catalogue], config: DataConfig
) -> Shard:
    write_catalogue(["x", "y", "z"], aisle=["dairy", None, "bread"])
    return make_shard(EVENTS, ByTime(20, DAY), config)


@pytest.fixture
def random_shard(
    make_shard: Callable[..., Shard], write_catalogue: Callable[..., Catalogue], config: DataConfig
) -> Shard:
    """A few shoppers with many events, several at one moment."""
    random = np.random.default_rng(0)
    events = sorted(
        (f"u{user}", int(time), int(row), ("buy", "view", "shown")[kind], None)
        for user, time, row, kind in random.integers([5, 300, 20, 3], size=[250, 4])
    )
    write_catalogue([f"sku-{number:02d}" for number in range(20)], aisle=["x"] * 20)
    return make_shard(events, ByTime(200, 250), config)


def plain(view: View) -> list[tuple[str, int, int, str]]:
    """Shopper, time, item row and type of a view's events."""
    shard = view.shard
    return [
        (shard.users[row].as_py(), int(time), int(shard.item_rows[row]), shard.types[row].as_py())
        for row, time in zip(view.rows.tolist(), view.times, strict=True)
    ]


def test_values_are_found_in_their_places(shard: Shard) -> None:
    assert shard.value("shopper").to_pylist() == list("bbbaaa")
    assert shard.value("sku").to_pylist() == list("yxyyzy")
    assert shard.value("aisle").to_pylist() == [None, "dairy", None, None, "bread", None]
    assert shard.value("channel").to_pylist() == ["web", None, "app", "web", "web", "web"]
    assert shard.value("weekday").to_pylist() == ["Thursday"] * 5 + ["Sunday"]


def test_events_of_each_shopper_stand_together(shard: Shard) -> None:
    assert len(shard) == 6
    assert shard.numbers.tolist() == [0, 0, 0, 1, 1, 1]
    assert shard.user_starts.tolist() == [0, 3]
    assert shard.times.tolist() == [10, 20, 20, 5, 20, 3 * DAY]


def test_type_has_its_weight_and_one_without_counts_1(shard: Shard) -> None:
    assert shard.weights.tolist() == [2, 1, 0, 2, 1, 1]
    assert shard.weights.dtype == np.float32


def test_log_without_any_type_counts_all_alike(
    make_shard: Callable[..., Shard], write_catalogue: Callable[..., Catalogue]
) -> None:
    write_catalogue(["x"], aisle=[None])

    shard = make_shard([("u", 1, 0, None, None), ("u", 2, 0, None, None)], ByTime(50, 80))

    assert shard.weights.tolist() == [1, 1]


def test_examples_of_a_part_are_its_events_with_a_weight(shard: Shard) -> None:
    assert shard.of_part(TRAIN).tolist() == [0, 3]
    assert shard.of_part(VALIDATION).tolist() == [1, 4]
    assert shard.of_part(TEST).tolist() == [5]


def test_targets_are_all_events_that_count_or_those_of_some_types(
    make_shard: Callable[..., Shard],
    write_catalogue: Callable[..., Catalogue],
    make_config: Callable[..., DataConfig],
    shard: Shard,
) -> None:
    config = make_config({"weights": WEIGHTS}, targets=["buy", "shown"])

    of_types = make_shard(EVENTS, ByTime(20, DAY), config)

    assert shard.is_target.tolist() == [True, True, False, True, True, True]
    assert of_types.is_target.tolist() == [True, False, False, True, False, False]
    assert of_types.is_type(("shown", "other")).tolist() == [
        False, False, True, False, False, True
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("part", "seen"), [(TRAIN, {0, 3}), (VALIDATION, {0, 1, 2, 3, 4}), (TEST, set(range(6)))]
)
def test_view_holds_a_part_and_what_it_may_see(shard: Shard, part: str, seen: set[int]) -> None:
    view = shard.view(part)

    assert set(view.rows.tolist()) == seen
    assert view.times.tolist() == shard.times[view.rows].tolist()


def test_training_part_of_a_split_by_chance_sees_no_other_event(
    random_shard: Shard, make_shard: Callable[..., Shard], config: DataConfig
) -> None:
    events = [(*e, None) for e in plain(View(random_shard, np.arange(250), random_shard.times, 1))]
    shard = make_shard(events, ByChance(0.2, 0.2, seed=0), config)

    assert set(shard.parts[shard.view(TRAIN).rows]) == {0}
    assert set(shard.parts[shard.view(VALIDATION).rows]) == {0, 1}
    assert set(shard.parts[shard.view(TEST).rows]) == {0, 2}


@pytest.mark.parametrize("part", [TRAIN, VALIDATION, TEST])
def test_behaviour_equals_a_plain_loop(random_shard: Shard, part: str) -> None:
    view = random_shard.view(part)
    events = plain(view)

    days, visits, count = (
        view.behaviour(name) for name in ("days_since_last_visit", "visits_before", "events_before")
    )

    assert days.dtype == visits.dtype == count.dtype == np.float32
    for place, (user, time, _, _) in enumerate(events):
        earlier = [at for who, at, _, _ in events if who == user and at < time]
        moments = sorted({*earlier, time})
        gaps = [b - a for a, b in itertools.pairwise(moments)]
        assert count[place] == len(earlier)
        assert visits[place] == sum(gap > GAP for gap in gaps)
        if earlier:
            assert days[place] == np.float32((time - max(earlier)) / DAY)
        else:
            assert np.isnan(days[place])


@pytest.mark.parametrize("within", ["history", "session"])
@pytest.mark.parametrize("types", [(), ("buy",), ("shown", "view")])
@pytest.mark.parametrize("last", [1, 4])
def test_sequence_equals_a_plain_loop(
    random_shard: Shard, within: str, types: tuple[str, ...], last: int
) -> None:
    kept = {"last": last, "within": within, "types": types}
    feature = Sequence(role="user", kind="sequence", of="sku", **kept)
    view = random_shard.view(TEST)
    events = plain(view)

    found = view.sequence(feature, random_shard.value("sku")).take(np.arange(len(events)))

    for (user, time, _, _), values in zip(events, found.to_pylist(), strict=True):
        moments = sorted({at for who, at, _, _ in events if who == user and at <= time})
        start = time
        while within == "session" and (before := [at for at in moments if at < start]):
            if start - before[-1] > GAP:
                break
            start = before[-1]
        expected = [
            f"sku-{row:02d}"
            for who, at, row, kind in events
            if who == user
            and at < time
            and (at >= start or within == "history")
            and (kind in types if types else WEIGHTS[kind] > 0)
        ]
        assert values == expected[-last:]


@pytest.mark.parametrize("last", [1, 4])
def test_sequence_by_place_holds_events_of_the_same_time_too(
    random_shard: Shard, last: int
) -> None:
    feature = Sequence(role="user", kind="sequence", of="sku", last=last, types=("buy",))
    view = random_shard.view(TEST)
    events = plain(view)

    lists = view.sequence(feature, random_shard.value("sku"), by_place=True)

    for place, values in enumerate(lists.take(np.arange(len(events))).to_pylist()):
        bought = [
            f"sku-{row:02d}"
            for user, _, row, kind in events[:place]
            if user == events[place][0] and kind == "buy"
        ]
        assert values == bought[-last:]


@pytest.mark.parametrize("part", [TRAIN, TEST])
def test_repeats_equal_a_plain_loop(random_shard: Shard, part: str) -> None:
    view = random_shard.view(part)

    repeats = view.repeats

    bought: set[tuple[str, int]] = set()
    for (user, _, row, kind), repeat in zip(plain(view), repeats.tolist(), strict=True):
        if WEIGHTS[kind]:
            assert repeat == ((user, row) in bought)
            bought.add((user, row))


def test_visit_is_at_the_first_target_and_sees_earlier_parts_only(
    make_shard: Callable[..., Shard],
    write_catalogue: Callable[..., Catalogue],
    make_config: Callable[..., DataConfig],
) -> None:
    write_catalogue(["x", "y"], aisle=[None] * 2)
    config = make_config({"weights": WEIGHTS}, targets=["buy"])
    events = [
        ("a", 10, 0, "view", None),
        ("a", 60, 0, "view", None),
        ("a", 61, 1, "buy", None),
        ("a", 62, 0, "buy", None),
        ("b", 10, 0, "buy", None),
        ("c", 70, 0, "buy", None),
    ]
    shard = make_shard(events, ByTime(50, 80), config)

    view, visits = shard.visits(VALIDATION)

    assert view.rows.tolist() == [0, 2, 4, 5]
    assert visits.tolist() == [1, 3]
    assert view.times[visits].tolist() == [61, 70]


def test_visit_comes_after_all_it_may_see_where_parts_are_not_in_time_order(
    make_shard: Callable[..., Shard], write_catalogue: Callable[..., Catalogue]
) -> None:
    write_catalogue(["x"], aisle=[None])
    times = [10, 20, 30, 5, 40]
    events = [(user, time, 0, None, None) for user, time in zip("aaabb", times, strict=True)]
    parts = [TEST, TRAIN, TRAIN, TRAIN, TEST]

    shard = make_shard(events, ByFile(), _part=pa.array(parts))
    view, visits = shard.visits(TEST)

    assert view.rows.tolist() == [1, 2, 0, 3, 4]
    assert view.times.tolist() == [20, 30, 31, 5, 40]
    assert visits.tolist() == [2, 4]


@pytest.mark.parametrize("split", [LeaveLastOut(), ByUser(0, 1, 0.5, seed=0)])
def test_visit_sees_what_stands_before_it_at_the_same_time(
    make_shard: Callable[..., Shard], write_catalogue: Callable[..., Catalogue], split: Split
) -> None:
    write_catalogue(["x", "y", "z", "w"], aisle=[None] * 4)
    feature = Sequence(role="user", kind="sequence", of="sku", last=9)
    shard = make_shard([("a", 7, row, None, None) for row in (2, 0, 3, 1)], split)

    view, visits = shard.visits(TEST)

    lists = view.sequence(feature, shard.value("sku")).take(visits).to_pylist()
    assert lists == [["z", "x", "w"] if isinstance(split, LeaveLastOut) else ["z", "x"]]


def test_event_that_does_not_count_goes_with_the_shoppers_next_that_does(
    make_shard: Callable[..., Shard],
    write_catalogue: Callable[..., Catalogue],
    make_config: Callable[..., DataConfig],
) -> None:
    write_catalogue(["x"], aisle=[None])
    config = make_config({"weights": {"buy": 1, "shown": 0}})
    history = ["shown", "buy", "buy", "shown", "buy", "shown", "buy", "shown"]
    events = [("a", time, 0, kind, None) for time, kind in enumerate(history)]
    events += [("b", 0, 0, "shown", None), ("c", 5, 0, "shown", None), ("c", 6, 0, "buy", None)]

    shard = make_shard(events, LeaveLastOut(), config)

    a = [TRAIN, TRAIN, TRAIN, VALIDATION, VALIDATION, TEST, TEST, TEST]
    assert [PARTS[part] for part in shard.parts] == [*a, TRAIN, TRAIN, TRAIN]
    assert shard.of_part(TEST).tolist() == [6]


def test_lists_are_made_of_ranges_of_rows_without_missing_values() -> None:
    whole = Lists(pa.array(["a", "b", "c", "d"]), np.array([1, 0, 3]), np.array([3, 0, 4]))
    holes = Lists(pa.array([None, "b", None, "d"]), np.array([0, 0, 2, 3]), np.array([4, 1, 4, 3]))

    assert whole.take(np.array([0, 1, 2])).to_pylist() == [["b", "c"], [], ["d"]]
    assert whole.take(np.array([2, 0])).to_pylist() == [["d"], ["b", "c"]]
    assert holes.take(np.arange(4)).to_pylist() == [["b", "d"], [], ["d"], []]
    assert len(holes.take(np.array([], int))) == 0
