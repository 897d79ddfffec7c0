"""Where candidates come from, as far as no model is asked."""

from typing import Protocol

import numpy as np

from tfrec.service.experiments.buckets import seed_of
from tfrec.service.flow.filters import passing
from tfrec.service.flow.shop import Shop
from tfrec.service.flow.state import NOTHING, Found, State

_MOST_SEEDS = 20
_FADES = 0.9
_MOST_ALIKE = 5000
_CATEGORIES = 5


class Source(Protocol):
    """Finds candidates by what is in memory."""

    def find(self, state: State, count: int) -> Found:
        """Finds at most `count` items for a request."""


class ItemToItem:
    """What is bought together with the items asked about, or with the shopper's latest ones."""

    def __init__(self, shop: Shop) -> None:
        """Takes the shop's items."""
        self._shop = shop

    def find(self, state: State, count: int) -> Found:
        """Adds up the weights of the neighbours of each, those of older items less."""
        seeds = state.asked if len(state.asked) else state.history
        seeds = _last_distinct(seeds, _MOST_SEEDS)
        pieces = [self._shop.neighbours.of(int(seed)) for seed in seeds]
        rows = np.concatenate([NOTHING, *(rows for rows, _ in pieces)]).astype(np.int64)
        if not len(rows):
            return Found(NOTHING)
        fades = np.ones(len(seeds)) if len(state.asked) else _FADES ** np.arange(len(seeds))
        weights = np.concatenate(
            [fade * weights for fade, (_, weights) in zip(fades, pieces, strict=True)]
        )
        owners = np.repeat(seeds, [len(rows) for rows, _ in pieces])
        order = np.argsort(-weights, kind="stable")  # so that an item's subject weighs most
        distinct, first, places = np.unique(rows[order], return_index=True, return_inverse=True)
        sums = np.bincount(places, weights[order])
        kept = ~np.isin(distinct, state.asked)
        distinct, first, sums = distinct[kept], first[kept], sums[kept]
        best = np.argsort(-sums, kind="stable")[:count]
        return Found(distinct[best], owners[order][first[best]])


class Alike:
    """Items of the same categories, those with the nearest vectors first."""

    def __init__(self, shop: Shop) -> None:
        """Takes the shop's items."""
        self._shop = shop

    def find(self, state: State, count: int) -> Found:
        """Looks among the items that share a category with what is asked about."""
        asked = state.asked if len(state.asked) else state.history
        category, seeds = self._shop.likeness, _last_distinct(asked, 1)
        if category is None or not len(seeds):
            return Found(NOTHING)
        seed = int(seeds[0])
        code = int(category.codes[seed])
        rows = category.rows_of(code) if code >= 0 else NOTHING
        rows = rows[rows != seed]
        if len(rows) > _MOST_ALIKE:
            sold = self._shop.sold[rows]
            rows = rows[np.argpartition(-sold, _MOST_ALIKE)[:_MOST_ALIKE]]
        sold = np.log1p(self._shop.sold[rows])
        near = sold / max(float(sold.max(initial=0)), 1.0)
        if self._shop.vectors is not None:
            # Popularity decides between what is equally near.
            near = self._shop.vectors[rows] @ self._shop.vectors[seed] + 0.1 * near
        best = np.argsort(-near, kind="stable")[:count]
        return Found(rows[best].astype(np.int64), np.full(len(best), seed))


class OwnHistory:
    """What the shopper had before: what was there often and lately comes first."""

    def __init__(self, shop: Shop) -> None:
        """Takes the shop's items."""
        self._shop = shop

    def find(self, state: State, count: int) -> Found:
        """Counts each item of the history, older times less: `sum 0.97 ** age`."""
        history = state.history
        if not len(history):
            return Found(NOTHING)
        ages = np.arange(len(history))[::-1]
        distinct, places = np.unique(history, return_inverse=True)
        counts = np.bincount(places, 0.97**ages)
        best = np.argsort(-counts, kind="stable")[:count]
        return Found(distinct[best], distinct[best])


class Popular:
    """What sells best lately of all that the request allows."""

    def __init__(self, shop: Shop) -> None:
        """Takes the shop's items."""
        self._shop = shop

    def find(self, state: State, count: int) -> Found:
        """Goes down the list of what sells until there are enough, if need be to its end."""
        order, start, width, found = self._shop.by_popularity, 0, 2 * count, 0
        pieces = [NOTHING]
        while start < len(order) and found < count:
            rows = order[start : start + width]
            kept = rows[passing(state, self._shop, rows)[0]]
            pieces.append(kept)
            start, width, found = start + width, 2 * width, found + len(kept)
        return Found(np.concatenate(pieces)[:count])


class PopularInCategory:
    """What sells best in the categories that the shopper's items are of."""

    def __init__(self, shop: Shop) -> None:
        """Takes the shop's items."""
        self._shop = shop

    def find(self, state: State, count: int) -> Found:
        """Takes as many of each of the shopper's foremost categories."""
        category = self._shop.likeness
        about = state.asked if len(state.asked) else state.history
        if category is None or not len(about):
            return Found(NOTHING)
        codes = category.codes[about]
        values, counts = np.unique(codes[codes >= 0], return_counts=True)
        foremost = values[np.argsort(-counts, kind="stable")[:_CATEGORIES]]
        if not len(foremost):
            return Found(NOTHING)
        each = -(-count // len(foremost))
        lists = [self._shop.bestsellers(int(code))[:each] for code in foremost]
        # One of each category in turn.
        rows = np.concatenate(lists)
        ranks = np.concatenate([np.arange(len(one)) for one in lists])
        return Found(rows[np.argsort(ranks, kind="stable")][:count])


class NewItems:
    """Items that no model has seen, drawn anew for each request."""

    def __init__(self, shop: Shop) -> None:
        """Takes the shop's items."""
        self._shop = shop

    def find(self, state: State, count: int) -> Found:
        """Draws by the request's id, so that the same request draws the same."""
        new = self._shop.new_rows
        if not len(new):
            return Found(NOTHING)
        # A start and a stride are drawn: a generator takes longer to make than all else here.
        start, stride = divmod(seed_of("new_items", state.request_id), 2**32)
        places = (start + (1 + stride % len(new)) * np.arange(min(count, len(new)))) % len(new)
        return Found(new[np.unique(places)])


def _last_distinct(rows: np.ndarray, most: int) -> np.ndarray:
    """The last items, each once, the newest first."""
    newest = rows[::-1]
    _, first = np.unique(newest, return_index=True)
    return newest[np.sort(first)[:most]]
