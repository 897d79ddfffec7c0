import numpy as np
import pytest

from tfrec.data.sessions import session_numbers, session_starts


def random_log(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Shoppers in an arbitrary order, some with one event, with many events at one time."""
    random = np.random.default_rng(seed)
    shoppers = np.sort(random.integers(12, size=random.integers(1, 150)))
    times = random.integers(120, size=len(shoppers))
    return random.permutation(12).astype(np.int32)[shoppers], times[np.lexsort((times, shoppers))]


@pytest.mark.parametrize("seed", range(30))
def test_sessions_equal_a_plain_loop(seed: int) -> None:
    users, times = random_log(seed)
    gap = seed % 7

    numbers = session_numbers(users, times, gap)
    starts = session_starts(users, times, gap)

    number = start = 0
    for row in range(len(users)):
        if row == 0 or users[row] != users[row - 1]:
            number, start = 0, row
        elif times[row] - times[row - 1] > gap:
            number, start = number + 1, row
        assert (numbers[row], starts[row]) == (number, start)


def test_silence_of_exactly_the_gap_does_not_end_a_session() -> None:
    users, times = np.zeros(3, int), np.array([0, 1800, 3601])

    assert session_numbers(users, times, 1800).tolist() == [0, 0, 1]
    assert session_starts(users, times, 1800).tolist() == [0, 0, 2]


def test_next_shopper_at_the_same_moment_begins_a_session() -> None:
    users, times = np.array([1, 1, 0]), np.array([0, 9, 9])

    assert session_numbers(users, times, 5).tolist() == [0, 1, 0]
    assert session_starts(users, times, 5).tolist() == [0, 1, 2]


def test_no_events_have_no_sessions() -> None:
    nobody, never = np.array([], int), np.array([], int)

    assert len(session_numbers(nobody, never, 5)) == len(session_starts(nobody, never, 5)) == 0
