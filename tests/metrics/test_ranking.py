import math
from collections.abc import Callable

import numpy as np
import pytest

from tfrec.metrics import (
    average_precision,
    hit_rate,
    ndcg,
    precision,
    recall,
    reciprocal_rank,
)

METRICS = [recall, precision, hit_rate, ndcg, reciprocal_rank, average_precision]
Metric = Callable[[np.ndarray, np.ndarray], np.ndarray]


def plain_recall(hits: list[bool], relevant: int) -> float:
    return sum(hits) / relevant


def plain_ndcg(hits: list[bool], relevant: int) -> float:
    gained = sum(1 / math.log2(place + 1) for place, hit in enumerate(hits, 1) if hit)
    best = sum(1 / math.log2(place + 1) for place in range(1, min(relevant, len(hits)) + 1))
    return gained / best


def plain_reciprocal_rank(hits: list[bool], relevant: int) -> float:
    return 1 / (hits.index(True) + 1) if True in hits else 0.0


def plain_precision(hits: list[bool], relevant: int) -> float:
    return sum(hits) / len(hits)


def plain_hit_rate(hits: list[bool], relevant: int) -> float:
    return float(True in hits)


def plain_average_precision(hits: list[bool], relevant: int) -> float:
    precisions = [sum(hits[:place]) / place for place, hit in enumerate(hits, 1) if hit]
    return sum(precisions) / min(relevant, len(hits))


@pytest.mark.parametrize("k", [1, 4, 9])
@pytest.mark.parametrize(
    ("metric", "plain"),
    [
        (recall, plain_recall),
        (precision, plain_precision),
        (hit_rate, plain_hit_rate),
        (ndcg, plain_ndcg),
        (reciprocal_rank, plain_reciprocal_rank),
        (average_precision, plain_average_precision),
    ],
)
def test_metric_equals_its_definition_on_random_lists(
    metric: Metric, plain: Callable[[list[bool], int], float], k: int
) -> None:
    random = np.random.default_rng(k)
    hits = random.random([200, k]) < 0.2
    relevant = hits.sum(axis=1) + random.integers(4, size=200)

    values = metric(hits, relevant)

    assert values.dtype == np.float64
    for value, row, count in zip(values, hits.tolist(), relevant.tolist(), strict=True):
        if count:
            assert value == pytest.approx(plain(row, count))
        else:
            assert math.isnan(value)


def test_recall_of_cases_checked_by_hand() -> None:
    hits = np.array([[True, False, True], [False, False, False], [True, True, True]])

    assert recall(hits, np.array([4, 2, 3])).tolist() == [0.5, 0.0, 1.0]


def test_ndcg_of_cases_checked_by_hand() -> None:
    hits = np.array([[False, True], [True, True], [True, False]])

    values = ndcg(hits, np.array([1, 9, 2]))

    assert values == pytest.approx([1 / math.log2(3), 1.0, 1 / (1 + 1 / math.log2(3))])


def test_reciprocal_rank_of_cases_checked_by_hand() -> None:
    hits = np.array([[False, True, True], [True, False, False], [False, False, False]])

    assert reciprocal_rank(hits, np.array([2, 1, 3])).tolist() == [0.5, 1.0, 0.0]


def test_average_precision_of_cases_checked_by_hand() -> None:
    hits = np.array([[False, True, True], [True, True, True], [True, False, False]])

    values = average_precision(hits, np.array([2, 9, 4]))

    assert values == pytest.approx([(1 / 2 + 2 / 3) / 2, 1.0, 1 / 3])


@pytest.mark.parametrize("metric", METRICS)
def test_shopper_without_a_relevant_item_gets_nan(metric: Metric) -> None:
    values = metric(np.array([[False, False], [True, True]]), np.array([0, 2]))

    assert math.isnan(values[0])
    assert values[1] == 1.0


@pytest.mark.parametrize("metric", METRICS)
def test_no_shoppers_have_no_values(metric: Metric) -> None:
    assert metric(np.zeros([0, 5], bool), np.zeros(0, int)).shape == (0,)
