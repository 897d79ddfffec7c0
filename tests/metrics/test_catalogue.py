import itertools
import math

import numpy as np
import pytest

from tfrec.metrics import coverage, gini, intra_list_diversity, intra_list_variety, novelty

ITEMS, K = 12, 5


@pytest.fixture
def lists() -> np.ndarray:
    """Lists of 40 shoppers without repetitions, some cut short, one empty."""
    random = np.random.default_rng(0)
    lists = np.stack([random.permutation(ITEMS - 2)[:K] for _ in range(40)])
    lists[np.arange(K) >= random.integers(K + 1, size=[40, 1])] = -1
    lists[0] = -1
    return lists


def rows(lists: np.ndarray) -> list[list[int]]:
    return [[item for item in row if item >= 0] for row in lists.tolist()]


def test_coverage_is_the_share_of_items_in_any_list(lists: np.ndarray) -> None:
    shown = {item for row in rows(lists) for item in row}

    assert coverage(lists, ITEMS) == len(shown) / ITEMS < 1


def test_gini_equals_the_mean_difference_of_exposures(lists: np.ndarray) -> None:
    shown = [sum(row.count(item) for row in rows(lists)) for item in range(ITEMS)]
    differences = sum(abs(a - b) for a in shown for b in shown)

    assert gini(lists, ITEMS) == pytest.approx(differences / (2 * ITEMS * sum(shown)))


def test_gini_is_0_if_all_items_are_shown_alike_and_grows_towards_1() -> None:
    assert gini(np.arange(8).reshape(4, 2), 8) == pytest.approx(0)
    assert gini(np.zeros([50, 1], int), 100) == pytest.approx(0.99)
    assert math.isnan(gini(np.full([2, 2], -1), 3))


def test_novelty_is_the_mean_surprise_of_the_items(lists: np.ndarray) -> None:
    counts = np.random.default_rng(1).integers(20, size=ITEMS)
    counts[3] = 0
    whole = int(counts.sum()) + ITEMS

    for value, row in zip(novelty(lists, counts), rows(lists), strict=True):
        if row:
            bits = [-math.log2((int(counts[item]) + 1) / whole) for item in row]
            assert value == pytest.approx(sum(bits) / len(row))
        else:
            assert math.isnan(value)


def test_diversity_is_the_mean_cosine_distance_of_all_pairs(lists: np.ndarray) -> None:
    vectors = np.random.default_rng(2).normal(size=(ITEMS, 3)).astype(np.float32)
    vectors[4] = 0

    def distance(a: int, b: int) -> float:
        lengths = math.hypot(*vectors[a]) * math.hypot(*vectors[b])
        return 1 - (sum(vectors[a] * vectors[b]) / lengths if lengths else 0)

    for value, row in zip(intra_list_diversity(lists, vectors), rows(lists), strict=True):
        if len(row) > 1:
            pairs = [distance(a, b) for a, b in itertools.combinations(row, 2)]
            assert value == pytest.approx(sum(pairs) / len(pairs), abs=1e-6)
        else:
            assert math.isnan(value)


def test_diversity_of_more_lists_than_are_looked_at_together() -> None:
    lists = np.tile([[0, 1], [0, 2]], (1500, 1))
    vectors = np.array([[1, 0], [0, 1], [2, 0]], np.float32)

    assert intra_list_diversity(lists, vectors) == pytest.approx(np.tile([1.0, 0.0], 1500))


def test_variety_is_the_share_of_pairs_of_two_categories(lists: np.ndarray) -> None:
    categories = np.array([7, -1, 7, 3, 3, 3, -1, 9, 7, 3, 0, 0])

    for value, row in zip(intra_list_variety(lists, categories), rows(lists), strict=True):
        if len(row) > 1:
            pairs = [categories[a] != categories[b] for a, b in itertools.combinations(row, 2)]
            assert value == pytest.approx(sum(pairs) / len(pairs))
        else:
            assert math.isnan(value)
