"""One file of cleaned events in memory, and what is derived from it row by row."""

from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from tfrec.data.catalogue import Catalogue
from tfrec.data.columns import Columns
from tfrec.data.events import USER
from tfrec.data.history import earlier_events, expand
from tfrec.data.split import Window
from tfrec.features import FeatureSpec
from tfrec.features.parsing import ITEM_ROW, TIME


class Shard:
    """The events of some shoppers, each shopper's together and ordered in time.

    Attributes:
      users: `[events]` the shoppers' ids.
      times: `[events]` int64 seconds since 1970.
      item_rows: `[events]` int64 rows of the catalogue.
      raw: name -> `[events]` strings, the raw values of the categorical features.
    """

    def __init__(self, file: Path, spec: FeatureSpec, columns: Columns, catalogue: Catalogue):
        """Reads a file of cleaned events and joins the catalogue's features to it."""
        events = pa.parquet.read_table(file).combine_chunks()
        self.users = events[USER].combine_chunks()
        self.times = events[TIME].to_numpy()
        self.item_rows = events[ITEM_ROW].combine_chunks()
        self.raw = columns.values(list(spec.categories), events, catalogue)
        self._user_numbers = self.users.dictionary_encode().indices.to_numpy()

    def in_window(self, window: Window) -> np.ndarray:
        """Rows of the events of a stretch of time, ascending."""
        return np.flatnonzero((self.times >= window.start) & (self.times < window.end))

    def history(self, last: int) -> tuple[np.ndarray, np.ndarray]:
        """Ranges `[starts, ends)` of each event's `last` earlier events of the same shopper."""
        return earlier_events(self._user_numbers, self.times, last)

    @cached_property
    def repeats(self) -> np.ndarray:
        """Whether an earlier row of the shopper, in the same basket or before, has the item."""
        pairs = np.stack([self._user_numbers, self.item_rows.to_numpy()], axis=1)
        _, first = np.unique(pairs, axis=0, return_index=True)
        repeats = np.ones(len(pairs), bool)
        repeats[first] = False
        return repeats

    @cached_property
    def user_starts(self) -> np.ndarray:
        """The row of each shopper's first event."""
        numbers = self._user_numbers
        return np.flatnonzero(np.r_[True, numbers[1:] != numbers[:-1]])


def lists(values: pa.Array, starts: np.ndarray, ends: np.ndarray) -> pa.ListArray:
    """Makes a list of each range of rows, leaving missing values out.

    Args:
      values: `[rows]` of any type.
      starts: `[n]` first row of each range.
      ends: `[n]` just behind its last row.

    Returns:
      `[n]` lists.
    """
    members, offsets = expand(starts, ends)
    listed = values.take(pa.array(members))
    if listed.null_count:
        present = listed.is_valid().to_numpy(zero_copy_only=False)
        offsets = np.r_[0, np.cumsum(present)][offsets]
        listed = listed.drop_null()
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), listed)
