"""What evaluation asks of a model."""

from typing import Protocol

import numpy as np

from tfrec.data.query_set import QuerySet


class Ranker(Protocol):
    """Anything that scores the whole catalogue."""

    def scores(self, queries: QuerySet) -> np.ndarray:
        """Scores all items for some shoppers: `[shoppers, items]` float32, -inf for never."""
