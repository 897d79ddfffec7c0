from collections.abc import Callable

import numpy as np
import pytest

from tfrec.data.report.activity import OTHER, Activity

DAY = 86_400
NOON = 1_600_000_000 // DAY * DAY + DAY // 2


@pytest.mark.parametrize(
    ("span", "unit", "width"),
    [
        (0, "hour", 3600), (4 * DAY, "hour", 3600),
        (5 * DAY, "day", DAY), (2000 * DAY, "week", 7 * DAY),
    ],
)  # fmt: skip
def test_stretches_cover_the_log_and_are_as_long_as_suits_it(
    span: int, unit: str, width: int
) -> None:
    activity = Activity(NOON, NOON + span)

    assert activity.unit == unit
    assert set(np.diff(activity.edges)) == {width}
    assert activity.edges[0] <= NOON < activity.edges[1]
    assert activity.edges[-2] <= NOON + span < activity.edges[-1]


def test_weeks_begin_on_monday() -> None:
    activity = Activity(NOON, NOON + 2000 * DAY)

    days = activity.edges.astype("datetime64[s]").astype("datetime64[D]")
    assert set(np.is_busday(days, "1000000")) == {True}


def test_events_are_counted_by_type_and_stretch(shard_of: Callable) -> None:
    activity = Activity(NOON, NOON + 5 * DAY)

    activity.add(shard_of([("a", NOON, 0, "view"), ("a", NOON + 5 * DAY, 0, "buy")]))
    activity.add(shard_of([("b", NOON + 1, 0, "view"), ("b", NOON + DAY, 0, "view")]))

    counts = {series.name: series.counts.tolist() for series in activity.series}
    assert counts == {"view": [2, 1, 0, 0, 0, 0], "buy": [0, 0, 0, 0, 0, 1]}
    assert [series.name for series in activity.series] == ["view", "buy"]


def test_rare_types_are_one_series(shard_of: Callable) -> None:
    events = [("a", NOON, 0, f"type-{n}") for n in range(8) for _ in range(9 - n)]
    activity = Activity(NOON, NOON)

    activity.add(shard_of(events))

    assert [series.name for series in activity.series] == [*(f"type-{n}" for n in range(5)), OTHER]
    assert activity.series[-1].total == 4 + 3 + 2
