"""Rankers without a neural network, which every evaluation shows beside the model."""

from collections.abc import Callable

import numpy as np

from tfrec.data.interactions import Interactions
from tfrec.models.closed_form import ClosedForm, HistoryRanker, OwnHistory, Popularity
from tfrec.models.ranker import Ranker


def _of_counts(kind: type[ClosedForm]) -> Callable[[np.ndarray], Ranker]:
    """Makes a ranker that needs to know no more than each item's training events, `[items]`."""

    def make(item_counts: np.ndarray) -> Ranker:
        n_items = len(item_counts)
        nobody = np.zeros(n_items, np.int64)
        model = kind()
        model.fit(
            Interactions(
                users=nobody,
                items=np.arange(n_items),
                weights=item_counts.astype(np.float32),
                times=nobody,
                n_users=1,
                n_items=n_items,
            )
        )
        return HistoryRanker(model, n_items)

    return make


BASELINES: dict[str, Callable[[np.ndarray], Ranker]] = {
    "popularity": _of_counts(Popularity),
    "own_history": _of_counts(OwnHistory),
}
