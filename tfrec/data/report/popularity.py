"""How unevenly events spread over items."""

import numpy as np


class Popularity:
    """Items by their number of training examples.

    Attributes:
      counts: `[items sold]` int64, descending; items without an example are not in it.
      unsold: number of the catalogue's items without one.
    """

    def __init__(self, counts: np.ndarray) -> None:
        """Takes the examples of each item, `[items]`."""
        self.counts = np.sort(counts[counts > 0])[::-1]
        self.unsold = len(counts) - len(self.counts)

    def top_share(self, share: float) -> float:
        """Share of the examples that the most popular `share` of the sold items have."""
        items = max(round(share * len(self.counts)), 1)
        return float(self.counts[:items].sum() / self.counts.sum())

    @property
    def gini(self) -> float:
        """Gini coefficient of the sold items: 0 if all sell alike, near 1 if one sells all.

        Source: Gini, Variabilità e mutabilità, 1912, in the form for sorted values.
        """
        ascending = self.counts[::-1]
        count = len(ascending)
        ranks = np.arange(1, count + 1)
        weighted = float(ranks @ ascending) / float(ascending.sum())
        return 2 * weighted / count - (count + 1) / count
