"""Features of the catalogue by row, as filters and rules read them."""

from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfrec.data.catalogue import Catalogue

UNKNOWN = -1


class Category:
    """A category of the catalogue as whole numbers.

    Attributes:
      values: its values, in order.
      codes: `[items]` int32 places in `values`; `UNKNOWN` where an item has none.
    """

    def __init__(self, column: pa.Array) -> None:
        """Takes `[items]` strings."""
        coded = column.dictionary_encode()
        self.values: list[str] = coded.dictionary.to_pylist()
        self.codes = coded.indices.fill_null(UNKNOWN).to_numpy().astype(np.int32)
        self._places = {value: place for place, value in enumerate(self.values)}

    def has(self, rows: np.ndarray, values: Sequence[str]) -> np.ndarray:
        """Which of some items have one of some values: `[n]` bool."""
        places = [self._places[value] for value in values if value in self._places]
        return np.isin(self.codes[rows], np.array(places, np.int32))

    @cached_property
    def members(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows in the order of their codes, and where those of each begin: `[values + 1]`."""
        order = np.argsort(self.codes, kind="stable")
        return order, np.searchsorted(self.codes[order], np.arange(len(self.values) + 1))

    def rows_of(self, code: int) -> np.ndarray:
        """The items that have a value, ascending."""
        order, starts = self.members
        return order[starts[code] : starts[code + 1]]


class Categories:
    """A list of categories of each item."""

    def __init__(self, column: pa.Array) -> None:
        """Takes `[items]` lists of strings."""
        self._lists = column
        self._owners = pc.list_parent_indices(column).to_numpy()
        self._values = pc.list_flatten(column)
        self._items = len(column)
        self._find = lru_cache(maxsize=256)(self._having)

    @cached_property
    def values(self) -> list[str]:
        """All values, in order."""
        return sorted(filter(None, self._values.unique().to_pylist()))

    def has(self, rows: np.ndarray, values: Sequence[str]) -> np.ndarray:
        """Which of some items have one of some values: `[n]` bool."""
        found = np.zeros(len(rows), bool)
        for value in values:
            found |= self._find(value)[rows]
        return found

    def of(self, row: int) -> list[str]:
        """The values of an item."""
        return [value for value in self._lists[row].as_py() or () if value]

    def _having(self, value: str) -> np.ndarray:
        there = np.zeros(self._items, bool)
        there[self._owners[pc.equal(self._values, value).fill_null(False).to_numpy(False)]] = True
        return there


class ItemColumns:
    """All features of a catalogue but ids, texts of no use to filters among them.

    Attributes:
      categories: feature -> its values by item.
      numbers: feature -> `[items]` float64, NaN where it is not known.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        """Reads a catalogue."""
        self.categories: dict[str, Category | Categories] = {}
        self.numbers: dict[str, np.ndarray] = {}
        table = catalogue.table
        for name in table.column_names:
            if name.startswith("_"):
                continue
            column = table[name].combine_chunks()
            if pa.types.is_string(column.type):
                self.categories[name] = Category(column)
            elif pa.types.is_list(column.type) and pa.types.is_string(column.type.value_type):
                self.categories[name] = Categories(column)
            elif not pa.types.is_nested(column.type):
                self.numbers[name] = column.cast(pa.float64()).to_numpy(zero_copy_only=False)

    @property
    def single(self) -> Mapping[str, Category]:
        """Features of which an item has one value."""
        return {name: one for name, one in self.categories.items() if isinstance(one, Category)}

    def likely_category(self) -> str | None:
        """The category whose number of values is nearest to the square root of that of the items.

        So its values hold about as many items as there are of them. None where there is none.
        """
        sizes = {name: len(one.values) for name, one in self.single.items() if one.values}
        if not sizes:
            return None
        items = max(len(one.codes) for one in self.single.values())
        return min(sizes, key=lambda name: abs(np.log(sizes[name] ** 2 / items)))
