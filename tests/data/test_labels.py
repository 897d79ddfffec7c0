import numpy as np
import pytest

from tfrec.data.labels import impression_labels, impression_lists, sample_negatives


@pytest.mark.parametrize("seed", range(40))
def test_labels_equal_a_plain_loop(seed: int) -> None:
    random = np.random.default_rng(seed)
    events = random.integers(1, 120)
    users = np.sort(random.integers(6, size=events)).astype(np.int32)
    times, items = 10**9 + random.integers(30, size=events), random.integers(8, size=events)
    kind = random.integers(3, size=events)
    within = seed % 10

    rows, labels = impression_labels(users, times, items, kind == 0, kind == 1, within)

    assert rows.tolist() == np.flatnonzero(kind == 0).tolist()
    for row, label in zip(rows, labels, strict=True):
        same = (users == users[row]) & (items == items[row]) & (kind == 1)
        assert label == any(0 <= time - times[row] <= within for time in times[same])


def test_success_counts_from_the_impression_on_until_the_limit() -> None:
    times = np.array([100, 100, 160])
    shown, taken = np.array([True, True, False]), np.array([False, False, True])
    users, items = np.zeros(3, int), np.array([3, 4, 3])

    for within, expected in [(59, [0, 0]), (60, [1, 0]), (10**6, [1, 0])]:
        _, labels = impression_labels(users, times, items, shown, taken, within)
        assert labels.tolist() == expected


def test_success_before_the_impression_does_not_count() -> None:
    users, times, items = np.zeros(2, int), np.array([100, 101]), np.zeros(2, int)

    _, labels = impression_labels(users, times, items, times == 101, times == 100, 60)

    assert labels.tolist() == [0]


@pytest.mark.parametrize("events", [0, 3])
def test_no_impressions_have_no_labels(events: int) -> None:
    some = np.arange(events)

    rows, labels = impression_labels(some, some, some, some < 0, some >= 0, 60)

    assert len(rows) == len(labels) == 0


def test_a_list_is_of_one_session_and_of_at_most_a_hundred_impressions() -> None:
    random = np.random.default_rng(0)
    users = np.sort(np.r_[random.integers(9, size=300), np.full(700, 4)])
    times = np.concatenate(
        [np.sort(random.integers(9000, size=n)) for n in np.unique(users, return_counts=True)[1]]
    )
    shown = np.flatnonzero(random.random(1000) < 0.7)

    lists = impression_lists(users, times, shown, gap=100)

    expected: list[int] = []
    size = 0
    for place, row in enumerate(shown):
        before = range(shown[place - 1] if place else row, row)
        goes_on = size > 0 and all(
            users[event] == users[event + 1] and times[event + 1] - times[event] <= 100
            for event in before
        )
        size = size + 1 if goes_on and size < 100 else 1
        expected.append((expected[-1] if expected else -1) + (size == 1))
    assert lists.tolist() == expected
    assert 20 < len(set(expected)) < 700
    assert max(np.bincount(lists)) == 100


def test_no_impressions_make_no_lists() -> None:
    none = np.zeros(0, int)

    assert impression_lists(none, none, none, 60).tolist() == []


@pytest.mark.parametrize("popularity", [None, np.arange(20) ** 0.75])
def test_negatives_are_items_that_the_shopper_never_touched(popularity: np.ndarray | None) -> None:
    for seed in range(30):
        random = np.random.default_rng(seed)
        users = random.permutation(np.repeat(np.arange(9, dtype=np.int32), 15))
        items = random.integers(20, size=len(users))
        positives = random.choice(len(users), 40, replace=False)

        drawn = sample_negatives(users, items, positives, 20, 6, popularity, seed)

        assert drawn.shape == (40, 6)
        assert ((drawn >= 0) & (drawn < 20)).all()
        for row, negatives in zip(positives, drawn, strict=True):
            assert not set(negatives.tolist()) & set(items[users == users[row]].tolist())
            assert popularity is None or 0 not in negatives


@pytest.mark.parametrize("popularity", [None, np.array([1, 2, 0, 4, 5, 6, 7, 8.0])])
def test_untouched_items_are_drawn_in_proportion_to_their_weights(
    popularity: np.ndarray | None,
) -> None:
    users, items = np.array([0, 0, 1, 1, 1]), np.array([1, 4, 0, 6, 7])
    draws = 40_000

    drawn = sample_negatives(users, items, np.array([1, 2]), 8, draws, popularity)

    for negatives, touched in zip(drawn, [[1, 4], [0, 6, 7]], strict=True):
        weights = np.ones(8) if popularity is None else popularity.copy()
        weights[touched] = 0
        expected = draws * weights / weights.sum()
        counts = np.bincount(negatives, minlength=8)
        assert (abs(counts - expected) <= 5 * np.sqrt(expected)).all()


def test_shopper_who_touched_nearly_everything_is_given_what_is_left() -> None:
    users, items = np.repeat([0, 1], [9, 10]), np.r_[np.arange(9), np.arange(10)]

    drawn = sample_negatives(users, items, np.array([0, 8, 9]), 10, 3)

    assert drawn.tolist() == [[9, 9, 9], [9, 9, 9], [-1, -1, -1]]


def test_shopper_whose_untouched_items_all_have_no_weight_is_given_none() -> None:
    users, items = np.array([0, 1]), np.array([0, 1])

    drawn = sample_negatives(users, items, np.array([0, 1]), 3, 2, np.array([1, 1, 0]))

    assert drawn.tolist() == [[1, 1], [0, 0]]
    assert sample_negatives(users, items, np.array([0]), 3, 1, np.array([1, 0, 0])) == -1


def test_negatives_follow_the_seed() -> None:
    users, items = np.zeros(50, int), np.arange(50)
    rows = np.arange(50)

    one, same, other = (
        sample_negatives(users, items, rows, 999, 4, seed=seed) for seed in (1, 1, 2)
    )

    assert (one == same).all()
    assert (one != other).any()


def test_item_numbers_of_a_large_catalogue_do_not_overflow() -> None:
    items = np.arange(10**6 - 5)
    users = np.full(len(items), 2**22 - 1, np.int32)

    drawn = sample_negatives(users, items, np.array([0]), 10**6, 100)

    assert set(drawn[0].tolist()) == set(range(10**6 - 5, 10**6))


def test_item_of_little_weight_is_still_drawn_when_no_other_is_left() -> None:
    user, item = np.array([0]), np.array([0])

    drawn = sample_negatives(user, item, np.array([0]), 2, 3, np.array([1.0, 1e-15]))

    assert drawn.tolist() == [[1, 1, 1]]


@pytest.mark.parametrize("popularity", [[1, -1, 2], [0, 0, 0]])
def test_weights_that_cannot_be_are_refused(popularity: list[int]) -> None:
    one = np.array([0])

    with pytest.raises(ValueError, match="popularity"):
        sample_negatives(one, one, one, 3, 1, np.array(popularity))


def test_no_positives_have_no_negatives() -> None:
    none = np.array([], int)

    assert sample_negatives(none, none, none, 5, 3).shape == (0, 3)
