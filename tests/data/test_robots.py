import numpy as np
import pytest

from tfrec.data.robots import robots


@pytest.mark.parametrize("seed", range(40))
def test_robots_equal_a_plain_loop(seed: int) -> None:
    random = np.random.default_rng(seed)
    shoppers = np.sort(random.integers(15, size=random.integers(1, 100)))
    times = random.integers(60, size=len(shoppers))
    times = times[np.lexsort((times, shoppers))]
    users = random.permutation(15).astype(np.int32)[shoppers]
    limit, window = 1 + seed % 5, seed % 8

    marked = robots(users, times, limit, window)

    for row, user in enumerate(users):
        own = times[users == user]
        most = max(sum(start <= time <= start + window for time in own) for start in own)
        assert marked[row] == (most > limit)


def test_window_slides_over_the_border_of_two_minutes() -> None:
    users, times = np.zeros(4, int), np.array([0, 58, 59, 61])

    assert robots(users, times, 2, 60).all()
    assert not robots(users, times, 3, 60).any()


def test_all_events_of_a_robot_are_marked_and_none_of_its_neighbours() -> None:
    users = np.array([2, 0, 0, 0, 0, 1])
    times = np.array([5, 0, 5, 5, 900, 900])

    assert robots(users, times, 1, 1).tolist() == [False, True, True, True, True, False]


def test_fewer_events_than_the_limit_hold_no_robot() -> None:
    assert robots(np.array([0, 0]), np.array([1, 1]), 9, 60).tolist() == [False, False]
    assert len(robots(np.array([], int), np.array([], int), 9, 60)) == 0
