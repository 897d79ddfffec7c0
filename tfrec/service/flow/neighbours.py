"""What is bought together."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from tfrec.data.interactions import Interactions
from tfrec.data.sessions import session_numbers

_MOST_IN_BASKET = 100
_LEAST_TOGETHER = 2
_DOUBT = 5.0
_CELLS = 20_000_000


@dataclass(frozen=True)
class Neighbours:
    """For each item, those that are bought together with it, best first.

    Attributes:
      starts: `[items + 1]` int64, where each item's neighbours begin.
      rows: `[pairs]` int32 rows of the catalogue.
      weights: `[pairs]` float32, above 0.
    """

    starts: np.ndarray
    rows: np.ndarray
    weights: np.ndarray

    def of(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows and weights of an item's neighbours."""
        place = slice(self.starts[row], self.starts[row + 1])
        return self.rows[place], self.weights[place]


def bought_together(events: Interactions, gap: int, most: int = 50) -> Neighbours:
    """Counts in how many sessions items come together.

        weight(a, b) = n(a, b) / sqrt(n(a) n(b)) * n(a, b) / (n(a, b) + 5)

    The first factor is the cosine of the items' sessions, the second doubts what is seen seldom.
    Of a session with more than 100 different items those that sell least stay: what everybody buys
    tells least.

    Args:
      events: of shoppers with items.
      gap: silence in seconds after which a new session begins.
      most: neighbours of one item.

    Returns:
      The neighbours; pairs that came together once only are left out.
    """
    baskets = _baskets(events, gap)
    support = np.maximum(np.asarray(baskets.sum(axis=0), np.float32).ravel(), 1)
    by_item = baskets.T.tocsr()
    sizes = np.diff(baskets.indptr)
    effort = by_item @ sizes.astype(np.float64)  # cells that the row of an item may fill
    cuts = np.searchsorted(np.cumsum(effort), np.arange(_CELLS, effort.sum(), _CELLS))
    pieces = [
        _best_of(by_item[rows] @ baskets, rows, support, most)
        for rows in np.split(np.arange(events.n_items), cuts)
        if len(rows)
    ]
    counts, rows, weights = map(np.concatenate, zip(*pieces, strict=True))
    return Neighbours(np.r_[0, np.cumsum(counts)], rows, weights)


def _baskets(events: Interactions, gap: int) -> sparse.csr_matrix:
    """Sessions by item: `[sessions, items]` of ones."""
    order = np.lexsort((events.times, events.users))
    users, items = events.users[order], events.items[order]
    numbers = session_numbers(users, events.times[order], gap)
    begins = np.r_[True, (np.diff(users) != 0) | (np.diff(numbers) != 0)][: len(users)]
    sessions = np.cumsum(begins) - 1
    pairs = np.unique(sessions * events.n_items + items)
    sessions, items = pairs // events.n_items, pairs % events.n_items
    kept = _seldom_first(sessions, np.bincount(items, minlength=events.n_items)[items])
    shape = int(sessions.max(initial=-1)) + 1, events.n_items
    ones = np.ones(len(kept), np.float32)
    return sparse.csr_matrix((ones, (sessions[kept], items[kept])), shape)


def _seldom_first(sessions: np.ndarray, sold: np.ndarray) -> np.ndarray:
    """Places of the first items of each session, those that sell least first."""
    order = np.lexsort((sold, sessions))
    firsts = np.searchsorted(sessions[order], sessions[order])
    return order[np.arange(len(order)) - firsts < _MOST_IN_BASKET]


def _best_of(
    together: sparse.csr_matrix, of: np.ndarray, support: np.ndarray, most: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Neighbours of some items: how many each has, rows and weights."""
    counts = together.data
    owners = np.repeat(np.arange(len(of)), np.diff(together.indptr))
    others = together.indices
    kept = (counts >= _LEAST_TOGETHER) & (of[owners] != others)
    counts, owners, others = counts[kept], owners[kept], others[kept]
    weights = counts / np.sqrt(support[of[owners]] * support[others]) * counts / (counts + _DOUBT)
    order = np.lexsort((others, -weights, owners))
    places = np.arange(len(order)) - np.searchsorted(owners[order], owners[order])
    order = order[places < most]
    sizes = np.bincount(owners[order], minlength=len(of))
    return sizes, others[order].astype(np.int32), weights[order].astype(np.float32)
