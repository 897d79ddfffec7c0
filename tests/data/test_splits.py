from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tfrec.config import validate
from tfrec.data.config import DataConfig
from tfrec.data.splits import (
    EXAMPLE_PARTS,
    PARTS,
    SHOWN,
    TEST,
    TRAIN,
    VALIDATION,
    Events,
    Split,
    make_split,
    only_new,
)
from tfrec.errors import UserError

DAY = 86_400
Log = list[tuple[str, int]]


def events_of(log: Log, parts: list[str] | None = None) -> Events:
    """Events of shoppers, given in the order of shopper and time."""
    users = [user for user, _ in log]
    counts = Counter(users)
    first = {user: len(users) - 1 - row for row, user in enumerate(reversed(users))}
    return Events(
        ids=pa.array(users, pa.string()),
        first=np.array([first[user] for user in users], np.int64),
        count=np.array([counts[user] for user in users], np.int64),
        times=np.array([time for _, time in log], np.int64),
        part=pa.array(parts or [None] * len(log), pa.string()),
    )


def split_of(log: Log, seed: int = 0, **settings: Any) -> Split:
    content = {
        "events": {"source": "e", "user": "u", "item": "i", "time": "t"},
        "items": {"source": "i", "id": "i"},
        "split": settings,
    }
    config = validate(DataConfig, content, "data")
    times = [time for _, time in log]
    return make_split(config.split, min(times), max(times), seed)


def divide(log: Log, seed: int = 0, **settings: Any) -> list[str]:
    split = split_of(log, seed, **settings)
    return [PARTS[part] for part in split.divide(events_of(log))]


def shop(users: int, seed: int = 0) -> Log:
    """Shoppers with 1 to 40 events each, several of them at the same time."""
    random = np.random.default_rng(seed)
    return [
        (f"user-{user:04d}", int(time))
        for user in range(users)
        for time in sorted(random.integers(60, size=random.integers(1, 41)) * DAY // 2)
    ]


def test_time_split_cuts_back_from_the_last_event() -> None:
    log = [("a", 0), ("a", 5 * DAY), ("a", 5 * DAY + 1), ("b", 7 * DAY), ("b", 10 * DAY)]

    parts = divide(log, kind="time", validation="3d", test="2d")

    assert parts == [TRAIN, TRAIN, VALIDATION, VALIDATION, TEST]


def test_time_split_leaks_nothing_back_in_time() -> None:
    log = shop(50)

    parts = divide(log, kind="time", validation="4d", test="4d")

    times = {part: [t for (_, t), p in zip(log, parts, strict=True) if p == part] for part in PARTS}
    assert max(times[TRAIN]) < min(times[VALIDATION])
    assert max(times[VALIDATION]) < min(times[TEST])
    assert not times[SHOWN]


def test_only_new_events_are_trained_on_and_the_others_are_seen() -> None:
    log = [("a", 0), ("a", 5 * DAY), ("a", 5 * DAY + 1), ("b", 7 * DAY), ("b", 10 * DAY)]
    split = only_new(split_of(log, kind="time", validation="3d", test="2d"), 5 * DAY)

    parts = [PARTS[part] for part in split.divide(events_of(log))]

    assert parts == [SHOWN, TRAIN, VALIDATION, VALIDATION, TEST]
    assert all(SHOWN in split.sees[part] for part in EXAMPLE_PARTS)


def test_only_a_split_by_time_knows_new_events() -> None:
    with pytest.raises(UserError, match=r"^pipeline\.warm_start: needs data\.split of kind time"):
        only_new(split_of([("a", 0)], kind="leave_last_out"), 5)


def test_windows_longer_than_the_log_are_refused() -> None:
    with pytest.raises(UserError, match=r"^data\.split: validation and test take all 10\.0 days"):
        split_of([("a", 0), ("a", 10 * DAY)], kind="time", validation="6d", test="5d")


def test_last_out_takes_the_last_two_events_of_those_with_three() -> None:
    log = [("a", 1), ("a", 2), ("a", 3), ("a", 3), ("b", 1), ("b", 2), ("c", 9)]

    parts = divide(log, kind="leave_last_out")

    assert parts == [TRAIN, TRAIN, VALIDATION, TEST, TRAIN, TRAIN, TRAIN]


@pytest.mark.parametrize("seed", range(3))
def test_random_split_takes_its_share_of_every_shopper(seed: int) -> None:
    log = shop(400, seed)

    parts = divide(log, seed, kind="random", validation=0.1, test=0.25)

    counts = Counter(zip([user for user, _ in log], parts, strict=True))
    for user, events in Counter(user for user, _ in log).items():
        assert abs(counts[user, TEST] - events * 0.25) < 1
        assert abs(counts[user, VALIDATION] - events * 0.1) <= 1
    assert parts.count(TEST) == pytest.approx(0.25 * len(log), rel=0.05)
    assert parts.count(VALIDATION) == pytest.approx(0.1 * len(log), rel=0.1)


def test_random_split_may_leave_validation_empty() -> None:
    parts = divide(shop(50), kind="random", validation=0, test=0.25)

    assert set(parts) == {TRAIN, TEST}


def test_random_split_is_independent_of_time() -> None:
    log = [("a", time) for time in range(1000)]

    parts = divide(log, kind="random", validation=0.1, test=0.5)

    places = np.flatnonzero(np.array(parts) == TEST)
    assert abs(places.mean() - 500) < 50


@pytest.mark.parametrize(
    "settings",
    [
        {"kind": "random", "validation": 0.2, "test": 0.2},
        {"kind": "users", "validation": 0.2, "test": 0.2, "shown": 0.5},
    ],
)
def test_chance_depends_on_the_seed_and_not_on_the_other_shoppers(settings: dict) -> None:
    log = shop(60)
    some = [event for event in log if event[0] > "user-0030"]

    parts = divide(log, **settings)

    assert parts == divide(log, **settings)
    assert parts != divide(log, seed=1, **settings)
    assert parts[-len(some) :] == divide(some, **settings)


@pytest.mark.parametrize("seed", range(3))
def test_user_split_trains_on_no_event_of_a_held_out_shopper(seed: int) -> None:
    log = shop(500, seed)

    parts = divide(log, seed, kind="users", validation=0.2, test=0.3, shown=0.8)

    by_user: dict[str, list[str]] = {}
    for (user, _), part in zip(log, parts, strict=True):
        by_user.setdefault(user, []).append(part)
    kinds = Counter(mine[-1] for mine in by_user.values())
    assert kinds[TEST] == pytest.approx(150, abs=35)
    assert kinds[VALIDATION] == pytest.approx(100, abs=30)
    for mine in by_user.values():
        if mine[-1] == TRAIN:
            assert set(mine) == {TRAIN}
        else:
            shown = min(round(len(mine) * 0.8), len(mine) - 1)
            assert mine == [SHOWN] * shown + [mine[-1]] * (len(mine) - shown)


def test_file_split_takes_the_parts_of_the_files() -> None:
    log = [("a", 1), ("a", 2), ("b", 1)]
    split = split_of(log, kind="files", test="test.csv")

    parts = split.divide(events_of(log, [TEST, TRAIN, VALIDATION]))

    assert [PARTS[part] for part in parts] == [TEST, TRAIN, VALIDATION]


@pytest.mark.parametrize(
    "settings",
    [
        {"kind": "time", "validation": "4d", "test": "4d"},
        {"kind": "leave_last_out"},
        {"kind": "random"},
        {"kind": "users"},
        {"kind": "files", "test": "test.csv"},
    ],
)
def test_no_part_sees_itself_or_a_later_one_and_training_sees_only_itself(settings: dict) -> None:
    split = split_of(shop(3), **settings)

    assert split.sees[TRAIN] == (TRAIN,)
    for place, part in enumerate(EXAMPLE_PARTS[1:], start=1):
        assert not set(split.sees[part]) & set(EXAMPLE_PARTS[place:])


@pytest.mark.parametrize("kind", ["random", "users"])
def test_shares_that_leave_nothing_to_train_on_are_refused(kind: str) -> None:
    with pytest.raises(UserError, match=r"^data\.split: validation 0\.5 and test 0\.6 take"):
        split_of(shop(3), kind=kind, validation=0.5, test=0.6)
