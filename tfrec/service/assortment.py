"""What the shop knows of its items today: prices, margins, stock and flags."""

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfrec.config import Duration, Section
from tfrec.data.catalogue import Catalogue
from tfrec.data.config import Source
from tfrec.data.sources import LINE, BadRow, column_types, find_files, read_rows
from tfrec.data.values import fault, scalars, to_doubles, to_strings
from tfrec.errors import UserError

PRICE, MARGIN, STOCK = "price", "margin", "stock"
"""Names of the numbers, whatever their columns are called."""

_TRUE = frozenset({"true", "yes", "y", "1", "t"})
_FALSE = frozenset({"false", "no", "n", "0", "f"})
SOURCE = "service.assortment.source"
_FIELD = "service.assortment"

_log = logging.getLogger(__name__)


class AssortmentConfig(Section):
    """A table of the items that changes by the day.

    Attributes:
      source: where its files are, as in the `data` section.
      id: column of the item's id.
      price: column of the price of one.
      margin: column of what the shop earns with one, below 0 where it loses.
      stock: column of how many there are; none are left at 0 and below.
      flags: columns of what is true of an item or not, such as `alcohol` or `nuts`.
      refresh: how often to look whether a file has changed.
    """

    source: Source
    id: str
    price: str | None = None
    margin: str | None = None
    stock: str | None = None
    flags: tuple[str, ...] = ()
    refresh: Duration = 60

    @property
    def columns(self) -> dict[str, str]:
        """Name of each number -> its column."""
        named = {PRICE: self.price, MARGIN: self.margin, STOCK: self.stock}
        return {name: column for name, column in named.items() if column is not None}


@dataclass(frozen=True)
class Assortment:
    """The items as they are at one moment, by catalogue row.

    Attributes:
      numbers: `price`, `margin` and `stock`, as far as the config names them -> `[items]` float64,
        NaN where the table does not tell.
      in_stock: `[items]` bool; what the table does not tell of counts as in stock.
      flags: flag -> `[items]` bool; what the table does not tell of counts as flagged, so that an
        item is only shown as free of nuts where that is known.
      known: how many items of the catalogue the table has.
      unknown: rows of items that the catalogue lacks.
      rejected: reason -> rows that cannot be right and are left out.
    """

    numbers: Mapping[str, np.ndarray]
    in_stock: np.ndarray
    flags: Mapping[str, np.ndarray]
    known: int = 0
    unknown: int = 0
    rejected: Mapping[str, int] | None = None

    @classmethod
    def read(cls, config: AssortmentConfig | None, catalogue: Catalogue) -> "Assortment":
        """Reads the table.

        Args:
          config: says where it is; without it, all items are in stock and nothing else is known.
          catalogue: gives the items their rows.

        Returns:
          What it says; a row that cannot be right is left out and counted.

        Raises:
          UserError: if a file or a column is missing, a file cannot be read to its end, or no row
            is of an item of the catalogue.
        """
        if config is None:
            return cls({}, np.ones(len(catalogue), bool), {})
        return _Reading(config, catalogue).finish()


class _Reading:
    """Fills the arrays from the files."""

    def __init__(self, config: AssortmentConfig, catalogue: Catalogue) -> None:
        self._config, self._catalogue = config, catalogue
        items = len(catalogue)
        self._numbers = {name: np.full(items, np.nan) for name in config.columns}
        self._flags = {name: np.ones(items, bool) for name in config.flags}
        self._seen = np.zeros(items, bool)
        self._unknown, self._rejected = 0, Counter[str]()

    def finish(self) -> Assortment:
        files = find_files(SOURCE, self._config.source)
        columns = self._columns(files)
        for file in files:
            for found in read_rows(file, columns):
                if isinstance(found, BadRow):
                    self._reject(found.reason, 1, f"{file}: line {found.line}")
                else:
                    self._take(found, file)
        if not self._seen.any():
            raise UserError(
                f"{SOURCE}: {', '.join(files)}: no row that can be right is of an item of "
                f"the catalogue ({self._unknown:,} rows of others, "
                f"{sum(self._rejected.values()):,} rejected); check {_FIELD}.id"
            )
        if self._unknown:
            _log.warning("assortment: %d rows are of no item of the catalogue", self._unknown)
        stock = self._numbers.get(STOCK)
        in_stock = np.ones(len(self._seen), bool) if stock is None else ~(stock <= 0)
        return Assortment(
            self._numbers,
            in_stock,
            self._flags,
            int(self._seen.sum()),
            self._unknown,
            dict(self._rejected),
        )

    def _columns(self, files: list[str]) -> list[str]:
        config = self._config
        there = column_types(SOURCE, files)
        fields = {"id": config.id, **config.columns, **{f"flags.{n}": n for n in config.flags}}
        for field, column in fields.items():
            if column not in there:
                raise UserError(
                    f"{_FIELD}.{field}: {column!r}: no such column; there are {', '.join(there)}"
                )
        return list(dict.fromkeys(fields.values()))

    def _take(self, batch: pa.RecordBatch, file: str) -> None:
        ids, wrong = to_strings(batch[self._config.id])
        faults = {f"{self._config.id}: {reason}": mask for reason, mask in wrong.items()}
        faults["no id"] = ids.is_null()
        rows = self._catalogue.rows(ids)
        values: dict[str, np.ndarray] = {}
        for name, column in self._config.columns.items():
            values[name], wrong = _number(name, batch[column])
            faults |= {f"{column}: {reason}": mask for reason, mask in wrong.items()}
        for name in self._config.flags:
            values[name], faults[f"{name}: neither true nor false"] = _flag(batch[name])
        good = self._good(faults, batch, file)
        self._unknown += int((good & (rows < 0)).sum())
        kept = np.flatnonzero(good & (rows >= 0))
        kept = self._first_of_each(kept, rows, batch, file)
        self._seen[rows[kept]] = True
        for name, given in values.items():
            target = self._flags.get(name) if name in self._config.flags else self._numbers[name]
            assert target is not None
            target[rows[kept]] = given[kept]

    def _good(
        self, faults: Mapping[str, pa.BooleanArray], batch: pa.RecordBatch, file: str
    ) -> np.ndarray:
        """Which rows have no fault; each fault is counted under its first reason."""
        good = np.ones(len(batch), bool)
        for reason, mask in faults.items():
            wrong = mask.to_numpy(zero_copy_only=False) & good
            if wrong.any():
                line = batch[LINE][int(np.argmax(wrong))].as_py()
                self._reject(reason, int(wrong.sum()), f"{file}: line {line}")
                good &= ~wrong
        return good

    def _first_of_each(
        self, kept: np.ndarray, rows: np.ndarray, batch: pa.RecordBatch, file: str
    ) -> np.ndarray:
        """Leaves out rows of items that had one before."""
        _, first = np.unique(rows[kept], return_index=True)
        is_first = np.zeros(len(kept), bool)
        is_first[first] = True
        is_first &= ~self._seen[rows[kept]]
        if not is_first.all():
            line = batch[LINE][int(kept[np.argmin(is_first)])].as_py()
            self._reject("repeated id", int((~is_first).sum()), f"{file}: line {line}")
        return kept[is_first]

    def _reject(self, reason: str, rows: int, place: str) -> None:
        if reason not in self._rejected:
            _log.warning("assortment: %s: rejected: %s", place, reason)
        self._rejected[reason] += rows


def _number(name: str, column: pa.Array) -> tuple[np.ndarray, dict[str, pa.BooleanArray]]:
    values, faults = scalars(column)
    numbers, wrong = to_doubles(values)
    faults |= wrong | fault("not finite", pc.invert(pc.is_finite(numbers)))
    if name == PRICE:
        faults |= fault("below 0", pc.less(numbers, 0))
    return numbers.to_numpy(zero_copy_only=False).astype(np.float64), faults


def _flag(column: pa.Array) -> tuple[np.ndarray, pa.BooleanArray]:
    """`[rows]` bool, True where it is not known; and which values are neither."""
    texts, _ = to_strings(column)
    words = [text and text.strip().lower() for text in texts.to_pylist()]
    wrong = [bool(word) and word not in _TRUE | _FALSE for word in words]
    return np.array([word not in _FALSE for word in words], bool), pa.array(wrong, pa.bool_())
