from collections.abc import Callable

import numpy as np
import pytest

from tfrec.data.query_set import QuerySet
from tfrec.models.baselines import BASELINES, OwnHistory, Popularity

COUNTS = np.array([4, 0, 9, 1, 4])


def ranking(scores: np.ndarray) -> list[int]:
    """Items that are recommended at all, best first."""
    order = np.argsort(-scores, kind="stable")
    return [int(item) for item in order if scores[item] > -np.inf]


def test_popularity_ranks_items_alike_for_everybody(make_queries: Callable[..., QuerySet]) -> None:
    queries = make_queries(relevant=[[0], [1]], seen=[[], [3, 3]])

    scores = Popularity(COUNTS).scores(queries)

    assert scores.dtype == np.float32
    assert scores.tolist() == [COUNTS.tolist()] * 2


def test_own_history_ranks_what_was_bought_by_how_often(
    make_queries: Callable[..., QuerySet],
) -> None:
    queries = make_queries(relevant=[[0], [1]], seen=[[1, 3, 1, 2], [4]])

    scores = OwnHistory(COUNTS).scores(queries)

    assert ranking(scores[0]) == [1, 2, 3]
    assert ranking(scores[1]) == [4]


def test_own_history_equals_a_plain_sort_on_random_histories(
    make_queries: Callable[..., QuerySet],
) -> None:
    random = np.random.default_rng(0)
    counts = random.permutation(30)
    seen = [random.integers(30, size=size).tolist() for size in random.integers(40, size=50)]

    scores = OwnHistory(counts).scores(make_queries(relevant=[[]] * 50, seen=seen))

    for row, bought in zip(scores, seen, strict=True):
        expected = sorted(set(bought), key=lambda item: (-bought.count(item), -counts[item]))
        assert ranking(row) == expected


def test_popularity_never_outweighs_one_more_purchase(
    make_queries: Callable[..., QuerySet],
) -> None:
    queries = make_queries(relevant=[[0]], seen=[[0, 1, 1]])

    scores = OwnHistory(np.array([1_000_000, 0])).scores(queries)

    assert ranking(scores[0]) == [1, 0]


def test_own_history_recommends_nothing_to_a_shopper_without_one(
    make_queries: Callable[..., QuerySet],
) -> None:
    scores = OwnHistory(COUNTS).scores(make_queries(relevant=[[0]], seen=[[]]))

    assert ranking(scores[0]) == []


@pytest.mark.parametrize("name", sorted(BASELINES))
def test_baselines_are_made_of_item_counts(
    make_queries: Callable[..., QuerySet], name: str
) -> None:
    queries = make_queries(relevant=[[0]], seen=[[2]])

    assert BASELINES[name](COUNTS).scores(queries).argmax() == 2
