from collections.abc import Callable, Sequence

import numpy as np
import pytest

from tfrec.config import validate
from tfrec.data.catalogue import Catalogue
from tfrec.data.columns import Columns
from tfrec.data.config import DataConfig
from tfrec.data.events import USER
from tfrec.data.queries import LAST_TIME, RELEVANT, SEEN, profile_table, query_table
from tfrec.data.query_set import QuerySet
from tfrec.data.shard import Shard
from tfrec.data.splits import TEST, VALIDATION, ByTime
from tfrec.features import FeatureSpec

SPLIT = ByTime(50, 80)
GAP, DAY = 20, 86_400
SKUS = [f"sku-{number}" for number in range(8)]
CATEGORY = {"kind": "categorical", "embedding": 2}
NUMBER = {"role": "user", "kind": "numeric"}
SPEC = validate(
    FeatureSpec,
    {
        "shopper": {**CATEGORY, "role": "user"},
        "recent": {"role": "user", "kind": "sequence", "of": "sku", "last": 5},
        "days_since_last_visit": NUMBER,
        "visits_before": NUMBER,
        "events_before": NUMBER,
        "sku": {**CATEGORY, "role": "item"},
        "aisle": {**CATEGORY, "role": "item"},
        "channel": {**CATEGORY, "role": "context"},
        "weekday": {**CATEGORY, "role": "context"},
    },
)
COLUMNS = Columns(
    {
        "shopper": "user", "sku": "item", "aisle": "catalogue", "channel": "event",
        "weekday": "calendar", "days_since_last_visit": "behaviour", "visits_before": "behaviour",
        "events_before": "behaviour",
    }
)  # fmt: skip
Event = tuple[str, int, int, str, str]


@pytest.fixture
def config(make_config: Callable[..., DataConfig]) -> DataConfig:
    return make_config({"weights": {"buy": 1, "shown": 0}}, session_gap=GAP)


@pytest.fixture
def events() -> list[Event]:
    """Shoppers' random events, of which some are baskets and some shoppers' all in one part."""
    random = np.random.default_rng(3)
    events = [
        (f"u{user}", int(time), int(row), "shown" if chance < 3 else "buy", f"shop-{chance}")
        for user in range(12)
        for time, row, chance in random.integers([60 + 3 * user, 8, 9], size=[15, 3])
    ]
    late = [("v", 90, 1, "buy", "shop-0"), ("v", 95, 2, "buy", "shop-1")]
    return sorted([*events, *late])


@pytest.fixture
def shard(
    events: list[Event],
    make_shard: Callable[..., Shard],
    write_catalogue: Callable[..., Catalogue],
    config: DataConfig,
) -> Shard:
    write_catalogue(SKUS, aisle=[f"aisle-{number % 2}" for number in range(8)])
    return make_shard(events, SPLIT, config)


def of_user(events: Sequence[Event]) -> dict[str, list[Event]]:
    return {user: [e for e in events if e[0] == user] for user, *_ in events}


def bought(events: Sequence[Event], start: int, end: int) -> list[Event]:
    return [event for event in events if start <= event[1] < end and event[3] == "buy"]


@pytest.mark.parametrize(("part", "start", "end"), [(VALIDATION, 50, 80), (TEST, 80, 999)])
def test_lists_of_bought_items_equal_a_plain_loop(
    shard: Shard, events: list[Event], part: str, start: int, end: int
) -> None:
    queries = query_table(shard, SPEC, COLUMNS, part).to_pylist()

    expected = {
        user: (
            [row for _, _, row, _, _ in bought(theirs, start, end)],
            [row for _, _, row, _, _ in bought(theirs, 0, start)],
        )
        for user, theirs in of_user(events).items()
    }
    found = {query[USER]: (query[RELEVANT], query[SEEN]) for query in queries}
    assert len(found) == len(queries)
    assert found == {user: lists for user, lists in expected.items() if lists[0]}
    assert 0 < len(found) < len(expected)


def test_query_is_made_at_the_first_event_looked_for_and_knows_what_was_before(
    shard: Shard, events: list[Event]
) -> None:
    queries = query_table(shard, SPEC, COLUMNS, VALIDATION).to_pylist()

    for query in queries:
        theirs = of_user(events)[query[USER]]
        _, visit, _, _, channel = bought(theirs, 50, 80)[0]
        times = [time for _, time, *_ in theirs if time < 50]
        gaps = np.diff([*times, visit])
        assert query["shopper"] == query[USER]
        assert query["channel"] == channel
        assert query["weekday"] == "Thursday"
        assert query["recent"] == [SKUS[row] for _, _, row, _, _ in bought(theirs, 0, 50)][-5:]
        assert query["events_before"] == len(times)
        assert query["visits_before"] == (gaps > GAP).sum()
        last = np.float32((visit - times[-1]) / DAY) if times else None
        assert query["days_since_last_visit"] == last


def test_sequences_leave_missing_values_out(
    make_shard: Callable[..., Shard],
    write_catalogue: Callable[..., Catalogue],
    config: DataConfig,
) -> None:
    content = {
        "aisle": {"role": "item", "kind": "categorical", "embedding": 2},
        "aisles": {"role": "user", "kind": "sequence", "of": "aisle", "last": 3},
    }
    spec = validate(FeatureSpec, content)
    write_catalogue(["a", "b", "c"], aisle=["dairy", None, "bread"])
    events = [
        ("u", 10, 0, None, None), ("u", 11, 1, None, None), ("u", 12, 2, None, None),
        ("u", 60, 1, None, None), ("v", 10, 1, None, None), ("v", 60, 0, None, None),
    ]  # fmt: skip
    shard = make_shard(events, SPLIT, config)

    queries = query_table(shard, spec, COLUMNS, VALIDATION)

    assert queries["aisles"].to_pylist() == [["dairy", "bread"], []]
    inputs = QuerySet(queries).inputs(["aisles"])["aisles"]
    assert inputs.tolist() == [["dairy", "bread"], ["", ""]]
    profiles = profile_table(shard, spec, COLUMNS, GAP)
    assert profiles["aisles"].to_pylist() == [["bread"], ["dairy"]]


def test_query_holds_no_item_feature(shard: Shard) -> None:
    columns = query_table(shard, SPEC, COLUMNS, TEST).column_names

    assert set(columns) == {*SPEC.of_role("user", "context"), USER, RELEVANT, SEEN}


def test_part_without_events_has_no_queries(
    make_shard: Callable[..., Shard], write_catalogue: Callable[..., Catalogue]
) -> None:
    write_catalogue(["a"], aisle=["x"])
    shard = make_shard([("u", 1, 0, None, None)], SPLIT)

    assert query_table(shard, SPEC, COLUMNS, TEST).num_rows == 0


def test_profile_is_what_is_known_after_the_last_event(shard: Shard, events: list[Event]) -> None:
    profiles = profile_table(shard, SPEC, COLUMNS, GAP).to_pylist()

    expected = []
    for user, theirs in of_user(events).items():
        times = [time for _, time, *_ in theirs]
        expected.append(
            {
                USER: user,
                LAST_TIME: times[-1],
                "shopper": user,
                "recent": [SKUS[row] for _, _, row, _, _ in bought(theirs, 0, 999)][-5:],
                "days_since_last_visit": np.float32((GAP + 1) / DAY),
                "visits_before": (np.diff(times) > GAP).sum() + 1,
                "events_before": len(theirs),
            }
        )
    assert profiles == expected


def test_profile_has_nothing_of_a_session_that_is_over(
    make_shard: Callable[..., Shard], write_catalogue: Callable[..., Catalogue]
) -> None:
    content = SPEC.model_dump() | {
        "now": {"role": "user", "kind": "sequence", "of": "sku", "last": 5, "within": "session"}
    }
    spec = validate(FeatureSpec, content)
    write_catalogue(SKUS, aisle=["x"] * 8)
    shard = make_shard([("u", 1, 0, None, None), ("u", 2, 1, None, None)], SPLIT)

    (profile,) = profile_table(shard, spec, COLUMNS, 1800).to_pylist()

    assert profile["recent"] == ["sku-0", "sku-1"]
    assert profile["now"] == []
