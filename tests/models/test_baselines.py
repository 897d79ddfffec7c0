from collections.abc import Callable

import numpy as np

from tfrec.data.query_set import QuerySet
from tfrec.models.baselines import BASELINES

COUNTS = np.array([4, 0, 9, 1, 4])


def test_popularity_ranks_by_item_counts(make_queries: Callable[..., QuerySet]) -> None:
    queries = make_queries(relevant=[[0], [1]], seen=[[], [3, 3]])

    scores = BASELINES["popularity"](COUNTS).scores(queries)

    assert scores.dtype == np.float32
    assert scores.tolist() == [COUNTS.tolist()] * 2


def test_own_history_ranks_by_purchases_and_then_by_item_counts(
    make_queries: Callable[..., QuerySet],
) -> None:
    queries = make_queries(relevant=[[0], [1]], seen=[[1, 3, 1, 2], []])

    scores = BASELINES["own_history"](COUNTS).scores(queries)

    assert np.argsort(-scores[0])[:3].tolist() == [1, 2, 3]
    assert np.isneginf(scores[0, [0, 4]]).all()
    assert np.isneginf(scores[1]).all()
