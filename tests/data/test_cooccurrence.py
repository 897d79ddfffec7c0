from collections import Counter
from itertools import product

import numpy as np
import pytest

from tfrec.data import cooccurrence
from tfrec.data.cooccurrence import PairCounts, count_pairs


def random_groups(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Groups, items and times in no order, with repeated items, equal times and small groups."""
    random = np.random.default_rng(seed)
    events = random.integers(1, 200)
    groups = random.integers(40, size=events).astype(np.int32) * 7
    return groups, random.integers(12, size=events), random.integers(5, size=events)


def plain_counts(groups: np.ndarray, items: np.ndarray, times: np.ndarray | None) -> Counter:
    counts: Counter = Counter()
    for group in set(groups.tolist()):
        rows = np.flatnonzero(groups == group).tolist()
        together = {
            (int(items[i]), int(items[j]))
            for i, j in product(rows, rows)
            if items[i] == items[j] or times is None or times[i] < times[j]
        }
        counts.update(together)
    return counts


def as_counter(pairs: PairCounts) -> Counter:
    ends = zip(pairs.a.tolist(), pairs.b.tolist(), strict=True)
    return Counter(dict(zip(ends, pairs.counts.tolist(), strict=True)))


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("chunk", [1, 50, 1 << 22])
def test_pairs_equal_a_plain_loop(
    ordered: bool, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cooccurrence, "_CHUNK", chunk)
    for seed in range(20):
        groups, items, times = random_groups(seed)

        pairs = count_pairs(groups, items, 100, times if ordered else None)

        assert as_counter(pairs) == plain_counts(groups, items, times if ordered else None)
        assert pairs.groups == len(set(groups.tolist()))
        ends = list(zip(pairs.a.tolist(), pairs.b.tolist(), strict=True))
        assert ends == sorted(ends)


def test_order_counts_both_ways_when_an_item_comes_before_and_after() -> None:
    groups, items, times = np.zeros(3, int), np.array([1, 2, 1]), np.array([10, 20, 30])

    pairs = as_counter(count_pairs(groups, items, 10, times))

    assert pairs[1, 2] == pairs[2, 1] == 1


def test_large_groups_are_cut_to_a_random_sample_in_every_count() -> None:
    groups, items = np.repeat([3, 5], [50, 4]), np.r_[np.arange(50), [0, 50, 51, 52]]

    pairs = count_pairs(groups, items, 10, seed=1)

    sampled = {item for item in pairs.a.tolist() if 0 < item < 50}
    assert pairs.groups == 2
    assert len(sampled) in (9, 10)  # item 0 may be in the sample, and is in the other group
    assert sampled != set(range(1, len(sampled) + 1))
    assert {50, 51, 52} <= set(pairs.a.tolist())
    assert pairs.counts.sum() == 10 * 10 + 4 * 4


def test_sampled_items_keep_their_own_times() -> None:
    times = np.random.default_rng(0).permutation(40)

    pairs = count_pairs(np.zeros(40, int), np.arange(40), 10, times)

    assert (times[pairs.a] <= times[pairs.b]).all()
    assert pairs.counts.tolist() == [1] * (10 * 11 // 2)


def test_sample_follows_the_seed_and_not_the_order_of_events() -> None:
    groups, items, times = random_groups(0)
    shuffled = np.random.default_rng(9).permutation(len(groups))

    one = count_pairs(groups, items, 3, times, seed=1)
    same = count_pairs(groups[shuffled], items[shuffled], 3, times[shuffled], seed=1)
    other = count_pairs(groups, items, 3, times, seed=2)

    assert as_counter(one) == as_counter(same)
    assert as_counter(one) != as_counter(other)


def test_sample_takes_every_item_equally_often() -> None:
    samples = [
        count_pairs(np.zeros(20, int), np.arange(20), 5, seed=seed).a[::5] for seed in range(800)
    ]

    taken = np.bincount(np.concatenate(samples), minlength=20)
    assert taken.sum() == 800 * 5
    assert abs(taken - 200).max() < 5 * np.sqrt(200 * 0.75)


@pytest.mark.parametrize("times", [None, np.array([], int)])
def test_no_events_have_no_pairs(times: np.ndarray | None) -> None:
    pairs = count_pairs(np.array([], int), np.array([], int), 10, times)

    assert pairs.groups == len(pairs.a) == len(pairs.b) == len(pairs.counts) == 0
