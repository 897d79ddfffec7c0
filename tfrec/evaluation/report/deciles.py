"""What is found of popular and of rare items."""

from dataclasses import dataclass

import numpy as np

from tfrec.evaluation.lists import Lists

_PARTS = 10


class Deciles:
    """Tenths of the catalogue by training events, the rarest items first.

    Items of equal popularity stay together, so that a tenth may be empty.

    Attributes:
      of_item: `[items]` int64, the tenth that each item is in.
      least: `[tenths]` fewest training events of an item in it; 0 of an empty one.
      most: `[tenths]` the most.
    """

    def __init__(self, counts: np.ndarray) -> None:
        """Takes the training events of each item, `[items]`."""
        distinct, place, sizes = np.unique(counts, return_inverse=True, return_counts=True)
        tenths = (np.cumsum(sizes) - sizes) * _PARTS // len(counts)
        self.of_item = tenths[place]
        self.least, self.most = np.zeros([2, _PARTS], np.int64)
        self.least[tenths[::-1]] = distinct[::-1]
        self.most[tenths] = distinct

    def __len__(self) -> int:
        """The number of tenths."""
        return _PARTS


@dataclass(frozen=True)
class Found:
    """How much of what is relevant in each tenth of the catalogue is found.

    Attributes:
      hits: `[tenths]` int64, relevant items that are in their shopper's list.
      wanted: `[tenths]` int64, relevant items, once for each shopper.
    """

    hits: np.ndarray
    wanted: np.ndarray

    def recall(self, fewest: int) -> np.ndarray:
        """Shares that are found: `[tenths]` float64, NaN where fewer than `fewest` are wanted."""
        shares = np.full(len(self.wanted), np.nan)
        return np.divide(self.hits, self.wanted, out=shares, where=self.wanted >= max(fewest, 1))


def find(lists: Lists, deciles: Deciles, k: int) -> Found:
    """Counts relevant items, and those of them among the first `k`, by tenth of the catalogue."""
    hits = lists.items[:, :k][lists.hits[:, :k]]
    _, wanted = lists.wanted
    return Found(
        *(np.bincount(deciles.of_item[rows], minlength=len(deciles)) for rows in (hits, wanted))
    )
