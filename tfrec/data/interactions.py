"""Who did what to which item when, in memory, as fitted models take it."""

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse


@dataclass(frozen=True)
class Interactions:
    """Events of shoppers with items, one a place; a pair may come several times.

    Attributes:
      users: `[events]` int64, the shoppers as whole numbers from 0 on.
      items: `[events]` int64 rows of the catalogue.
      weights: `[events]` float32, how much each event counts.
      times: `[events]` int64 seconds since 1970.
      n_users: number of shoppers.
      n_items: rows of the catalogue.
    """

    users: np.ndarray
    items: np.ndarray
    weights: np.ndarray
    times: np.ndarray
    n_users: int
    n_items: int

    def __len__(self) -> int:
        """The number of events."""
        return len(self.users)

    def matrix(self, weighted: bool = False) -> sparse.csr_matrix:
        """The events by shopper and item: `[users, items]` float32.

        Args:
          weighted: whether a pair holds the sum of its events' weights, or else 1.
        """
        shape = self.n_users, self.n_items
        matrix = sparse.csr_matrix((self.weights, (self.users, self.items)), shape, np.float32)
        if not weighted:
            matrix.data[:] = 1
        return matrix

    def decayed(self, half_life_seconds: float) -> "Interactions":
        """Lets weights fade: an event counts half of one that came a half life later.

        The newest event keeps its weight.
        """
        newest = self.times.max(initial=np.iinfo(np.int64).min)
        fading = np.exp2((self.times - newest) / half_life_seconds)
        return replace(self, weights=(self.weights * fading).astype(np.float32))
