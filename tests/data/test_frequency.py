import math

import numpy as np
import pytest

from tfrec.data.frequency import (
    Measure,
    among_same,
    baskets_before,
    events_before,
    seconds_since_last,
)


def random_log(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Shoppers in an arbitrary order with their times and items; many baskets and repeats."""
    random = np.random.default_rng(seed)
    shoppers = np.sort(random.integers(10, size=random.integers(1, 120)))
    times = random.integers(15, size=len(shoppers))
    times = times[np.lexsort((times, shoppers))]
    users = random.permutation(10).astype(np.int32)[shoppers]
    return users, times, random.integers(6, size=len(shoppers))


def check(measured: np.ndarray, earlier: list[list[int]], times: np.ndarray, name: str) -> None:
    """Compares a measure of every event with the same of the times of its earlier events."""
    for row, before in enumerate(earlier):
        expected = {
            "seconds_since_last": times[row] - max(before) if before else math.nan,
            "events_before": len(before),
            "baskets_before": len(set(before)),
        }
        np.testing.assert_equal(measured[row], expected[name])


@pytest.mark.parametrize("measure", [seconds_since_last, events_before, baskets_before])
def test_measures_equal_a_plain_loop(measure: Measure) -> None:
    for seed in range(30):
        users, times, items = random_log(seed)
        rows = range(len(users))

        of_all = measure(users, times)
        of_item = among_same(items, measure, users, times)

        own = [[i for i in rows if users[i] == users[j] and times[i] < times[j]] for j in rows]
        same = [[i for i in own[j] if items[i] == items[j]] for j in rows]
        check(of_all, [times[i].tolist() for i in own], times, measure.__name__)
        check(of_item, [times[i].tolist() for i in same], times, measure.__name__)


def test_basket_does_not_see_itself() -> None:
    users, times, items = np.zeros(3, int), np.array([10, 10, 25]), np.array([4, 4, 4])

    np.testing.assert_array_equal(seconds_since_last(users, times), [np.nan, np.nan, 15])
    assert events_before(users, times).tolist() == [0, 0, 2]
    assert baskets_before(users, times).tolist() == [0, 0, 1]
    assert among_same(items, events_before, users, times).tolist() == [0, 0, 2]


@pytest.mark.parametrize("measure", [seconds_since_last, events_before, baskets_before])
def test_no_events_have_no_measures(measure: Measure) -> None:
    none = np.array([], int)

    assert len(measure(none, none)) == len(among_same(none, measure, none, none)) == 0
