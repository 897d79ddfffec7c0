"""Prepared queries in memory, as evaluation asks them."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from tfrec.data.events import USER
from tfrec.data.prepared import TEST, VALIDATION, PreparedData, QueryKind
from tfrec.data.queries import RELEVANT, SEEN
from tfrec.errors import UserError


class QuerySet:
    """One query per shopper of a window, and what the shopper did before and in it.

    Attributes:
      table: raw features; see `query_table`.
    """

    def __init__(self, table: pa.Table) -> None:
        """Holds a table of queries."""
        self.table = table

    @classmethod
    def read(cls, folder: Path) -> "QuerySet":
        """Reads the queries of a window.

        Raises:
          UserError: if no shopper was seen in it, or no two items together.
        """
        if any(folder.glob("*.parquet")):
            queries = cls(pa.parquet.read_table(folder))
            if len(queries):
                return queries
        raise UserError(f"data.split.{folder.name}: no event is in this window; lengthen it")

    @classmethod
    def read_held_out(cls, data: PreparedData, of: QueryKind = "shoppers") -> "QuerySet":
        """Reads queries to try things on: those of validation, or of test where there are none."""
        validation = data.parts[VALIDATION]
        asked = validation.examples if of == "shoppers" else sum(validation.pairs.values())
        return cls.read(data.queries(VALIDATION if asked else TEST, of))

    def __len__(self) -> int:
        """The number of shoppers."""
        return self.table.num_rows

    def batches(self, size: int) -> Iterator["QuerySet"]:
        """Cuts the shoppers into pieces of at most `size`."""
        for start in range(0, len(self), size):
            yield QuerySet(self.table.slice(start, size))

    @property
    def users(self) -> list[str]:
        """The shoppers' ids."""
        return self.table[USER].to_pylist()

    @property
    def features(self) -> list[str]:
        """Names of the raw features."""
        return [name for name in self.table.column_names if not name.startswith("_")]

    @property
    def relevant(self) -> tuple[np.ndarray, np.ndarray]:
        """Pairs (shopper's place in this set, item row) of what was bought, one per event."""
        return _pairs(self.table[RELEVANT])

    @property
    def seen(self) -> tuple[np.ndarray, np.ndarray]:
        """Pairs (shopper's place in this set, item row) of what was bought before."""
        return _pairs(self.table[SEEN])

    def inputs(self, names: Sequence[str]) -> dict[str, np.ndarray]:
        """The raw features as a client sends them.

        Args:
          names: which features.

        Returns:
          Name -> `[shoppers]` or `[shoppers, values]`; see `client_tensor`.
        """
        return {name: client_tensor(self.table[name].combine_chunks()) for name in names}


def client_tensor(column: pa.Array) -> np.ndarray:
    """Raw values of a feature as a client sends them.

    Args:
      column: strings or numbers, or lists of either. At least one list has all of a vector.

    Returns:
      Strings `[n]`, empty for null, or float32 `[n]`, NaN for null. Lists `[n, values]`, filled up
      with empty strings or zeros and at least one value wide.
    """
    if not pa.types.is_list(column.type):
        return _flat_tensor(column)
    lengths = pc.list_value_length(column).fill_null(0).to_numpy()
    values = _flat_tensor(column.flatten())
    shape = len(column), max(lengths.max(initial=0), 1)
    padded = np.full(shape, "" if values.dtype == object else 0, values.dtype)
    padded[np.arange(shape[1]) < lengths[:, np.newaxis]] = values
    return padded


def _flat_tensor(values: pa.Array) -> np.ndarray:
    if pa.types.is_floating(values.type) or pa.types.is_integer(values.type):
        return values.cast(pa.float32(), safe=False).to_numpy(zero_copy_only=False)
    return values.fill_null("").to_numpy(zero_copy_only=False)


def _pairs(column: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    lists = column.combine_chunks()
    lengths = np.diff(lists.offsets.to_numpy())
    return np.repeat(np.arange(len(lists)), lengths), lists.flatten().to_numpy()
