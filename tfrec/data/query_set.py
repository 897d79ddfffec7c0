"""Prepared queries in memory, as evaluation asks them."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from tfrec.data.events import USER
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
          UserError: if no shopper was seen in it.
        """
        queries = cls(pa.parquet.read_table(folder))
        if not len(queries):
            raise UserError(f"data.split.{folder.name}: no event is in this window; lengthen it")
        return queries

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
          Name -> strings `[shoppers]`, or `[shoppers, values]` filled up with empty strings.
        """
        return {name: client_tensor(self.table[name].combine_chunks()) for name in names}


def client_tensor(column: pa.Array) -> np.ndarray:
    """Strings or lists of strings -> an array of strings, filled up with empty ones."""
    if not pa.types.is_list(column.type):
        return column.fill_null("").to_numpy(zero_copy_only=False)
    lengths = np.diff(column.offsets.to_numpy())
    padded = np.full([len(column), max(lengths.max(initial=0), 1)], "", object)
    padded[np.arange(padded.shape[1]) < lengths[:, np.newaxis]] = column.flatten().to_numpy(False)
    return padded


def _pairs(column: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    lists = column.combine_chunks()
    lengths = np.diff(lists.offsets.to_numpy())
    return np.repeat(np.arange(len(lists)), lengths), lists.flatten().to_numpy()
