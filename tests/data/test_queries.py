from collections.abc import Callable, Sequence

import numpy as np
import pytest

from tfrec.config import validate
from tfrec.data.catalogue import Catalogue
from tfrec.data.events import USER
from tfrec.data.queries import RELEVANT, SEEN, profile_table, query_table
from tfrec.data.query_set import QuerySet
from tfrec.data.shard import Shard
from tfrec.data.split import Window
from tfrec.features import FeatureSpec

WINDOW = Window(50, 80)
SKUS = [f"sku-{number}" for number in range(8)]
Event = tuple[str, int, int, str]


@pytest.fixture
def events() -> list[Event]:
    """Shoppers' random events, of which some are baskets and some shoppers' all in one window."""
    random = np.random.default_rng(3)
    events = [
        (f"u{user}", int(time), int(row), f"shop-{random.integers(3)}")
        for user in range(12)
        for time, row in random.integers([60 + 3 * user, 8], size=[15, 2])
    ]
    late = [("v", 90, 1, "shop-0"), ("v", 95, 2, "shop-1")]
    return sorted([*events, *late])


@pytest.fixture
def shard(
    events: list[Event],
    spec: FeatureSpec,
    make_shard: Callable[..., Shard],
    write_catalogue: Callable[..., Catalogue],
) -> Shard:
    catalogue = write_catalogue(SKUS, aisle=[f"aisle-{number % 2}" for number in range(8)])
    return make_shard(events, spec, catalogue)


def of_user(events: Sequence[Event]) -> dict[str, list[Event]]:
    return {user: [e for e in events if e[0] == user] for user, *_ in events}


def test_lists_of_bought_items_equal_a_plain_loop(
    shard: Shard, spec: FeatureSpec, events: list[Event]
) -> None:
    queries = query_table(shard, spec, WINDOW).to_pylist()

    expected = {
        user: (
            [row for _, time, row, _ in theirs if WINDOW.start <= time < WINDOW.end],
            [row for _, time, row, _ in theirs if time < WINDOW.start],
        )
        for user, theirs in of_user(events).items()
    }
    found = {query[USER]: (query[RELEVANT], query[SEEN]) for query in queries}
    assert len(found) == len(queries)
    assert found == {user: lists for user, lists in expected.items() if lists[0]}
    assert 0 < len(found) < len(expected)


def test_query_is_made_at_the_first_visit_in_the_window(
    shard: Shard, spec: FeatureSpec, events: list[Event]
) -> None:
    queries = query_table(shard, spec, WINDOW).to_pylist()

    for query in queries:
        theirs = of_user(events)[query[USER]]
        _, visit, _, channel = next(e for e in theirs if WINDOW.start <= e[1] < WINDOW.end)
        before = [SKUS[row] for _, time, row, _ in theirs if time < visit]
        assert query["shopper"] == query[USER]
        assert query["channel"] == channel
        assert query["weekday"] == "Thursday"
        assert query["recent"] == before[-spec["recent"].last :]


def test_sequences_leave_missing_values_out(
    make_shard: Callable[..., Shard], write_catalogue: Callable[..., Catalogue]
) -> None:
    content = {
        "aisle": {"role": "item", "kind": "categorical", "embedding": 2},
        "aisles": {"role": "user", "kind": "sequence", "of": "aisle", "last": 3},
    }
    spec = validate(FeatureSpec, content)
    catalogue = write_catalogue(["a", "b", "c"], aisle=["dairy", None, "bread"])
    events = [
        ("u", 10, 0, "web"), ("u", 11, 1, "web"), ("u", 12, 2, "web"), ("u", 60, 1, "web"),
        ("v", 10, 1, "web"), ("v", 60, 0, "web"),
    ]  # fmt: skip
    shard = make_shard(events, spec, catalogue)

    queries = query_table(shard, spec, WINDOW)

    assert queries["aisles"].to_pylist() == [["dairy", "bread"], []]
    inputs = QuerySet(queries).inputs(["aisles"])["aisles"]
    assert inputs.tolist() == [["dairy", "bread"], ["", ""]]
    assert profile_table(shard, spec)["aisles"].to_pylist() == [["bread"], ["dairy"]]


def test_query_holds_no_item_feature(shard: Shard, spec: FeatureSpec) -> None:
    columns = query_table(shard, spec, WINDOW).column_names

    assert set(columns) == {
        USER, "shopper", "recent", "channel", "weekday", RELEVANT, SEEN
    }  # fmt: skip


def test_window_without_events_has_no_queries(shard: Shard, spec: FeatureSpec) -> None:
    assert query_table(shard, spec, Window(1000, 2000)).num_rows == 0


def test_profile_is_what_is_known_after_the_last_event(
    shard: Shard, spec: FeatureSpec, events: list[Event]
) -> None:
    profiles = profile_table(shard, spec).to_pylist()

    last = spec["recent"].last
    assert profiles == [
        {USER: user, "shopper": user, "recent": [SKUS[row] for _, _, row, _ in theirs][-last:]}
        for user, theirs in of_user(events).items()
    ]
