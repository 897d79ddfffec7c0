from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from service_shop import FEATURES, GAP, ServiceShop, make_service_shop, random_events

from tfrec.data.config import DataConfig
from tfrec.service.events import Event
from tfrec.service.online_features import OnlineFeatures
from tfrec.service.pushed_states import pushed_states
from tfrec.service.shopper_state import MOST_SESSIONS, ShopperState

NEVER = 10**9
SEEDS = range(4)


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc)


def event(number: int, time: float, **fields: Any) -> Event:
    content = {"id": f"e{number}", "type": "click", "user": "ann", "item": "item-1", "time": time}
    return Event.model_validate(content | fields)


def take(
    online: OnlineFeatures, events: list[Event], states: dict[str, ShopperState] | None = None
) -> dict[str, ShopperState]:
    """Every shopper's state after the events."""
    states = {} if states is None else states
    for change in online.changes(events):
        if change.counts:
            state = states.setdefault(change.user, ShopperState())
            state.take(change, online.lengths, online.gap)
    return states


def features(online: OnlineFeatures, events: list[Event], moment: float) -> dict[str, Any]:
    return online.features(take(online, events).get("ann", ShopperState()), "ann", at(moment))


@pytest.mark.parametrize("seed", SEEDS)
def test_every_feature_of_every_shopper_is_that_of_preparation(
    service_shop: ServiceShop, tmp_path: Path, seed: int
) -> None:
    events = random_events(seed)
    prepared = service_shop.profiles(events, tmp_path / "profiles")

    states = take(service_shop.online, events)

    assert len(states) == 6
    for user, state in states.items():
        found = service_shop.online.features(state, user, at(NEVER))
        assert found == prepared.find(user, at(NEVER)), user
        assert list(found) == [name for name in FEATURES if FEATURES[name]["role"] == "user"]


@pytest.mark.parametrize("seed", SEEDS)
def test_pushed_states_are_those_of_the_events_one_by_one(
    service_shop: ServiceShop, seed: int
) -> None:
    events, online = random_events(seed), service_shop.online
    shard = service_shop.shard(events[:200])
    pushed = list(pushed_states(shard, service_shop.spec, "item", GAP))

    states = {one.user: ShopperState.from_bytes(one.state.to_bytes()) for one in pushed}
    states = take(online, events[200:], states)

    for user, state in take(online, events).items():
        assert replace(states[user], known_until=None) == state, user


def test_of_one_second_the_last_event_of_the_log_tells_the_profile(
    service_shop: ServiceShop, tmp_path: Path
) -> None:
    events = [event(n, 7, context={"age": age}) for n, age in enumerate((30, 31, 32))]
    prepared = service_shop.profiles([*events, event(3, 6)], tmp_path / "profiles")

    found = features(service_shop.online, [*events, event(3, 6)], NEVER)

    assert found == prepared.find("ann", at(NEVER))
    assert found["age"] == 32


def test_more_sessions_than_are_kept_apart_are_pushed_as_they_are_taken(
    service_shop: ServiceShop,
) -> None:
    events = [event(n, n * (GAP + 1)) for n in range(MOST_SESSIONS + 10)]

    (pushed,) = pushed_states(service_shop.shard(events), service_shop.spec, "item", GAP)

    taken = take(service_shop.online, events)["ann"]
    assert replace(pushed.state, known_until=None) == taken
    assert taken.older_sessions == 10


def test_pushed_state_tells_the_first_event_and_hidden_items(service_shop: ServiceShop) -> None:
    events = [
        event(1, 10, user="bob"),
        event(2, 5, item="item-3", type="hide"),
        event(3, 7, item="item-4", type="hide"),
        event(4, 9, item="item-3", type="hide"),
    ]

    ann, bob = pushed_states(service_shop.shard(events), service_shop.spec, "item", GAP)

    assert (ann.first, ann.state.last, ann.hidden) == (5, 9, ["item-3", "item-4"])
    assert (bob.first, bob.state.known_until, bob.hidden) == (10, 10, [])


@pytest.mark.parametrize("seed", SEEDS)
def test_late_events_find_their_place(service_shop: ServiceShop, seed: int) -> None:
    random = np.random.default_rng(seed)
    times = np.cumsum(random.choice([20, GAP, GAP + 1, 500], size=60))
    events = [event(n, float(t), item=f"item-{n % 12}") for n, t in enumerate(times)]
    online = service_shop.online
    in_order = take(online, events)["ann"]

    late = take(online, [events[place] for place in random.permutation(len(events))])["ann"]

    assert late == in_order


def test_event_before_all_sessions_that_are_kept_begins_none(service_shop: ServiceShop) -> None:
    many = MOST_SESSIONS + 10
    events = [event(n, 10_000 + n * (GAP + 1)) for n in range(many)]

    found = features(service_shop.online, [*events, event(many, 1)], NEVER)

    assert found["visits_before"] == many
    assert found["events_before"] == many + 1


@pytest.mark.parametrize(
    ("moment", "visits", "in_session"),
    [
        (1000, 1, ["item-2", "item-3"]),
        (1000 + GAP, 1, ["item-2", "item-3"]),
        (1000 + GAP + 1, 2, []),
        (990, 1, ["item-2", "item-3"]),
    ],
)
def test_a_running_session_is_told_from_the_next_one(
    service_shop: ServiceShop, moment: float, visits: int, in_session: list[str]
) -> None:
    events = [event(1, 0), event(2, 950, item="item-2"), event(3, 1000, item="item-3")]

    found = features(service_shop.online, events, moment)

    assert found["visits_before"] == visits
    assert found["in_session"] == in_session
    assert found["recent"] == ["item-1", "item-2", "item-3"]
    assert found["days_since_last_visit"] == max(moment - 1000, 0) / 86_400


def test_shopper_never_seen_is_as_in_profiles(service_shop: ServiceShop, tmp_path: Path) -> None:
    prepared = service_shop.profiles([event(1, 1)], tmp_path / "profiles")

    found = service_shop.online.features(ShopperState(), "bob")

    assert found == prepared.find("bob") == {"visits_before": 0.0, "events_before": 0.0}


@pytest.mark.parametrize(
    "fields",
    [
        {"item": "unknown"},
        {"type": "rating"},  # has no weight
        {"context": {"age": "old"}},
        {"time": 99},
        {"time": 2000},
    ],
)
def test_event_that_preparation_would_not_keep_changes_nothing(
    tmp_path: Path, fields: dict[str, Any]
) -> None:
    limits = {"after": "1970-01-01T00:01:40", "before": "1970-01-01T00:33:20"}
    shop = make_service_shop(tmp_path / "shop", clean=limits)

    kept, left_out = shop.online.changes([event(1, 100), event(2, **({"time": 1} | fields))])

    assert kept.counts
    assert not left_out.counts


def test_equal_events_are_one_where_preparation_drops_duplicates(tmp_path: Path) -> None:
    events = [
        event(1, 7.1, context={"age": 5}),
        event(2, 7.9, context={"age": 5.0}),
        event(3, 7.1, context={"age": 6}),
        event(4, 8),
    ]
    keeping = make_service_shop(tmp_path / "a").online
    dropping = make_service_shop(tmp_path / "b", clean={}).online

    same = [change.keys[1:] for change in dropping.changes(events)]

    assert [change.keys for change in keeping.changes(events)] == [
        ("e1",),
        ("e2",),
        ("e3",),
        ("e4",),
    ]
    assert same[0] == same[1]
    assert len({same[0], same[2], same[3]}) == 3


def test_without_a_log_of_the_service_what_is_shown_or_hidden_is_no_history(
    service_shop: ServiceShop,
) -> None:
    log = service_shop.config.events[0]
    own = log.model_copy(update={"user": "visitor_id", "weights": {}})
    config: DataConfig = service_shop.config.model_copy(update={"events": (own,)})
    types = ["impression", "view", "hide", "cart"]
    events = [event(n, n, type=kind, item=f"item-{n}") for n, kind in enumerate(types)]

    found = features(replace(service_shop, config=config).online, events, NEVER)

    assert found["recent"] == ["item-1", "item-3"]
    assert found["events_before"] == 4


def test_value_that_preparation_would_reject_is_told_and_a_missing_one_is_not(
    service_shop: ServiceShop,
) -> None:
    events = [
        event(1, 1),
        event(2, 1, context={"age": "old"}),
        event(3, 1, item="not yet there", context={"age": "31", "colour": "red"}),
        event(4, 1, context={"taste": ["1"]}),
    ]

    assert service_shop.online.faults(events) == [
        None,
        "context.age: not a number",
        None,
        "context.taste: not of 2 values",
    ]
