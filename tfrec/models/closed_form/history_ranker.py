"""A model in closed form as evaluation asks it."""

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from tfrec.models.closed_form.fitted import ClosedForm

if TYPE_CHECKING:  # which brings Beam along, and processes that train models need none
    from tfrec.data.query_set import QuerySet


class HistoryRanker:
    """Scores the catalogue from what shoppers had done before their query."""

    def __init__(self, model: ClosedForm, n_items: int) -> None:
        """Takes a fitted model and the number of items."""
        self._model, self._n_items = model, n_items

    def scores(self, queries: "QuerySet") -> np.ndarray:
        """Scores all items for some shoppers: `[shoppers, items]` float32, -inf for never."""
        users, items = queries.seen
        events = np.ones(len(users), np.float32), (users, items)
        shape = len(queries), self._n_items
        return self._model.scores(sparse.csr_matrix(events, shape))
