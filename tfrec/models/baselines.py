"""Rankers without a neural network, which every evaluation shows beside the model."""

from collections.abc import Callable

import numpy as np

from tfrec.data.query_set import QuerySet
from tfrec.models.ranker import Ranker


class Popularity:
    """Ranks items by their number of training events, alike for every shopper."""

    def __init__(self, item_counts: np.ndarray) -> None:
        """Takes each item's number of training events, `[items]`."""
        self._scores = item_counts.astype(np.float32)

    def scores(self, queries: QuerySet) -> np.ndarray:
        """Scores all items for some shoppers: `[shoppers, items]` float32."""
        return np.tile(self._scores, (len(queries), 1))


class OwnHistory:
    """Ranks the items a shopper bought before by how often; it recommends no other."""

    def __init__(self, item_counts: np.ndarray) -> None:
        """Takes each item's number of training events, `[items]`, which decides between equals."""
        self._tie_break = item_counts.astype(np.float32) / (item_counts.max(initial=0) + 1)

    def scores(self, queries: QuerySet) -> np.ndarray:
        """Scores all items for some shoppers: `[shoppers, items]` float32, -inf for the unseen."""
        counts = np.zeros([len(queries), len(self._tie_break)], np.float32)
        np.add.at(counts, queries.seen, 1)
        return np.where(counts > 0, counts + self._tie_break, -np.inf)


BASELINES: dict[str, Callable[[np.ndarray], Ranker]] = {
    "popularity": Popularity,
    "own_history": OwnHistory,
}
