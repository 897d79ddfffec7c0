import numpy as np
import pytest

from tfrec.data.history import earlier_among, earlier_events, expand


def random_log(seed: int, users: int = 9, events: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Shoppers in an arbitrary order, with many events at one time."""
    random = np.random.default_rng(seed)
    shoppers = np.sort(random.integers(users, size=events))
    times = random.integers(25, size=events)
    order = np.lexsort((times, shoppers))
    return random.permutation(users)[shoppers[order]], times[order]


@pytest.mark.parametrize("last", [1, 3, 10, 1000])
def test_ranges_equal_a_plain_loop(last: int) -> None:
    users, times = random_log(seed=last)

    starts, ends = earlier_events(users, times, last)

    for row in range(len(users)):
        earlier = [i for i in range(row) if users[i] == users[row] and times[i] < times[row]]
        assert list(range(starts[row], ends[row])) == earlier[-last:]


def test_events_of_one_basket_do_not_see_each_other() -> None:
    starts, ends = earlier_events(np.array([5, 5, 5, 5]), np.array([1, 2, 2, 2]), 10)

    assert starts.tolist() == [0, 0, 0, 0]
    assert ends.tolist() == [0, 1, 1, 1]


def test_shoppers_do_not_see_each_other() -> None:
    starts, ends = earlier_events(np.array([1, 1, 0, 0]), np.array([1, 2, 3, 4]), 10)

    assert (ends - starts).tolist() == [0, 1, 0, 1]
    assert starts[3] == 2


def test_same_time_of_the_next_shopper_begins_a_basket() -> None:
    _, ends = earlier_events(np.array([0, 1]), np.array([7, 7]), 10)

    assert ends.tolist() == [0, 1]


def test_no_events_have_no_history() -> None:
    starts, ends = earlier_events(np.array([], int), np.array([], int), 3)

    assert len(starts) == len(ends) == 0


def test_ranges_are_expanded_one_after_another() -> None:
    members, offsets = expand(np.array([4, 2, 0, 9]), np.array([6, 2, 3, 10]))

    assert members.tolist() == [4, 5, 0, 1, 2, 9]
    assert offsets.tolist() == [0, 2, 2, 5, 6]


def test_no_ranges_have_no_members() -> None:
    members, offsets = expand(np.array([], int), np.array([], int))

    assert members.tolist() == []
    assert offsets.tolist() == [0]


@pytest.mark.parametrize("last", [1, 2, 100])
def test_ranges_narrowed_to_some_events_equal_a_plain_loop(last: int) -> None:
    users, times = random_log(seed=7)
    chosen = np.random.default_rng(7).random(len(users)) < 0.4

    starts, ends = earlier_among(chosen, *earlier_events(users, times, len(users)), last)

    of_them = np.flatnonzero(chosen)
    for row in range(len(users)):
        earlier = [
            i for i in range(row) if users[i] == users[row] and times[i] < times[row] and chosen[i]
        ]
        assert of_them[starts[row] : ends[row]].tolist() == earlier[-last:]


def test_ranges_narrowed_to_no_event_are_empty() -> None:
    starts, ends = earlier_among(np.zeros(4, bool), np.array([0, 1]), np.array([3, 4]), 2)

    assert (ends - starts).tolist() == [0, 0]
