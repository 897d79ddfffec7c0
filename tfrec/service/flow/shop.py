"""What the flow knows of a shop's items."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tfrec.data.catalogue import Catalogue
from tfrec.features import FeatureSpec
from tfrec.service.assortment import Assortment
from tfrec.service.flow.columns import Category, ItemColumns
from tfrec.service.flow.neighbours import Neighbours
from tfrec.service.flow.state import NO_ITEM
from tfrec.service.live_assortment import LiveAssortment

_MOST_DESCRIBED = 20_000


@dataclass(frozen=True)
class Shop:
    """Items, and what follows from prepared events of them.

    Attributes:
      catalogue: the items.
      spec: the features.
      user: feature that holds the shoppers' ids.
      item: feature that holds the items' ids.
      sold: `[items]` float64, how often each was chosen lately; half after a half-life.
      is_new: `[items]` bool, whether no training event names it.
      neighbours: what is bought together.
      vectors: `[items, dim]` float32 of length 1, near for what is alike; None where the model has
        none.
      live: what the shop knows of its items today.
      category: feature that says what is alike; None where there is none.
    """

    catalogue: Catalogue
    spec: FeatureSpec
    user: str
    item: str
    sold: np.ndarray
    is_new: np.ndarray
    neighbours: Neighbours
    vectors: np.ndarray | None
    live: LiveAssortment
    category: str | None = None

    def __len__(self) -> int:
        """The number of items."""
        return len(self.sold)

    @property
    def assortment(self) -> Assortment:
        """What the shop knows of its items now."""
        return self.live.current

    @cached_property
    def columns(self) -> ItemColumns:
        """The catalogue's features by row."""
        return ItemColumns(self.catalogue)

    @cached_property
    def likeness(self) -> Category | None:
        """The category that says what is alike."""
        name = self.category or self.columns.likely_category()
        return self.columns.single[name] if name else None

    @cached_property
    def by_popularity(self) -> np.ndarray:
        """The items that sold, best first: `[n]` int64 rows."""
        order = np.argsort(-self.sold, kind="stable")
        return order[: np.count_nonzero(self.sold)]

    @cached_property
    def _bestsellers(self) -> tuple[np.ndarray, np.ndarray]:
        """What sold by category, best first, and where each category begins."""
        assert self.likeness
        rows = self.by_popularity
        codes = self.likeness.codes[rows]
        order = np.argsort(codes, kind="stable")
        starts = np.searchsorted(codes[order], np.arange(len(self.likeness.values) + 1))
        return rows[order], starts

    def bestsellers(self, code: int) -> np.ndarray:
        """The items of a category that sold, best first: `[n]` int64 rows."""
        rows, starts = self._bestsellers
        return rows[starts[code] : starts[code + 1]]

    @cached_property
    def new_rows(self) -> np.ndarray:
        """The items that are new: `[n]` int64 rows."""
        return np.flatnonzero(self.is_new)

    @cached_property
    def ids(self) -> np.ndarray:
        """The items' ids as models take them: `[items]` bytes."""
        return np.array([one.encode() for one in self.catalogue.ids.tolist()], object)

    @cached_property
    def names(self) -> np.ndarray:
        """The items' names for people: `[items]` strings, the id where there is none."""
        names, ids = self.catalogue.names, self.catalogue.ids
        return np.where(names == "", ids, names)

    @cached_property
    def _rows(self) -> "_Rows":
        """Row by id, as strings and as bytes."""
        rows = _Rows()
        rows |= {one: row for row, one in enumerate(self.catalogue.ids.tolist())}
        rows |= {one: row for row, one in enumerate(self.ids.tolist())}
        return rows

    def rows(self, ids: Sequence[str | bytes]) -> np.ndarray:
        """Rows of items by their ids: `[n]` int64, -1 for one that is not in the catalogue."""
        return np.array([*map(self._rows.__getitem__, ids)], np.int64)

    @cached_property
    def histories(self) -> list[str]:
        """Sequences of the shopper's items, the longest first."""
        own = [
            (not one.types and one.within is None, one.last, name)
            for name, one in self.spec.sequences.items()
            if one.of == self.item
        ]
        return [name for *_, name in sorted(own, reverse=True)]

    @cached_property
    def contexts(self) -> list[str]:
        """Features that a request may give."""
        return self.spec.of_role("context")

    def warm(self) -> None:
        """Works out now what the first requests would otherwise wait for."""
        _ = self.names, self._rows, self.by_popularity, self.new_rows, self.columns
        if self.likeness:
            _ = self.likeness.members, self._bestsellers

    def described(self, row: int) -> Mapping[str, str | float | None]:
        """An item's categories and numbers of today, for people."""
        today = self.assortment
        if self._known.of is not today:
            self._known.of, self._known.items = today, {}
        known = self._known.items
        if row not in known:
            if len(known) >= _MOST_DESCRIBED:
                known.clear()
            known[row] = self._describe(row)
        return known[row]

    @cached_property
    def _known(self) -> "_Described":
        return _Described(self.assortment, {})

    def _describe(self, row: int) -> dict[str, str | float | None]:
        features: dict[str, str | float | None] = {}
        for name, column in self.columns.categories.items():
            if isinstance(column, Category):
                code = column.codes[row]
                features[name] = column.values[code] if code >= 0 else None
            else:
                features[name] = ", ".join(column.of(row)) or None
        for name, values in self.numbers().items():
            features[name] = float(values[row]) if np.isfinite(values[row]) else None
        return features

    def numbers(self) -> dict[str, np.ndarray]:
        """Name -> `[items]` float64: the catalogue's, and over them those of today."""
        return {**self.columns.numbers, **self.assortment.numbers}


@dataclass
class _Described:
    """Items as they are described while an assortment is the newest."""

    of: Assortment
    items: dict[int, dict[str, str | float | None]]


class _Rows(dict[str | bytes, int]):
    """Rows by id."""

    def __missing__(self, item: str | bytes) -> int:
        return NO_ITEM
