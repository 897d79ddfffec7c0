"""One file of cleaned events in memory, and what is derived from it row by row."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from tfrec.data.catalogue import Catalogue
from tfrec.data.columns import CALENDAR, Columns
from tfrec.data.config import DataConfig
from tfrec.data.events import PART, TYPE, USER
from tfrec.data.frequency import events_before, seconds_since_last
from tfrec.data.history import earlier_among, earlier_events, expand
from tfrec.data.sessions import session_numbers, session_starts
from tfrec.data.splits import PARTS, TRAIN, Events, Split
from tfrec.features import Sequence
from tfrec.features.parsing import ITEM_ROW, TIME

DAY = 86_400


class Shard:
    """The events of some shoppers, each shopper's together and ordered in time.

    Attributes:
      columns: where the features' values are.
      users: `[events]` the shoppers' ids.
      numbers: `[events]` int64, the shoppers as whole numbers from 0 on.
      times: `[events]` int64 seconds since 1970.
      item_rows: `[events]` int64 rows of the catalogue.
      types: `[events]` strings, the events' types.
      weights: `[events]` float32, how much each counts in training; 0 is no example.
      parts: `[events]` int8, places in `PARTS`.
      user_starts: the row of each shopper's first event.
    """

    def __init__(
        self,
        file: Path,
        columns: Columns,
        catalogue: Catalogue,
        config: DataConfig,
        split: Split,
    ) -> None:
        """Reads a file of cleaned events."""
        self._table = pa.parquet.read_table(file).combine_chunks()
        self.columns, self._catalogue = columns, catalogue
        self._config, self._split = config, split
        self.users = self._column(USER)
        self.times = self._table[TIME].to_numpy()
        self.item_rows = self._table[ITEM_ROW].to_numpy()
        self.types = self._column(TYPE)
        self.numbers = self.users.dictionary_encode().indices.to_numpy().astype(np.int64)
        self.user_starts = np.flatnonzero(
            np.r_[True, self.numbers[1:] != self.numbers[:-1]][: len(self.numbers)]
        )
        self.weights = _weights(self.types, config)
        self.parts = self._divide()

    def __len__(self) -> int:
        """The number of events."""
        return len(self.times)

    def of_part(self, part: str) -> np.ndarray:
        """Rows of a part's examples, ascending: its events that count in training."""
        return np.flatnonzero((self.parts == PARTS.index(part)) & (self.weights > 0))

    @cached_property
    def is_target(self) -> np.ndarray:
        """Whether evaluation looks for an event: `[events]` bool."""
        return (self.weights > 0) & self.is_type(self._config.targets)

    def is_type(self, types: tuple[str, ...]) -> np.ndarray:
        """Whether an event is of one of some types; of those that count if none is given."""
        if not types:
            return self.weights > 0
        return pc.is_in(self.types, pa.array(types)).to_numpy(zero_copy_only=False)

    def value(self, name: str) -> pa.Array:
        """A feature's raw values: `[events]`; what earlier events give is a view's to say."""
        place = self.columns.places[name]
        if place == "user":
            return self.users
        if place == "calendar":
            times = pa.array(self.times).cast(pa.timestamp("s"))
            return pc.strftime(times, format=CALENDAR[name])
        if place in ("item", "catalogue"):
            return self._catalogue.value(name, place).take(pa.array(self.item_rows))
        return self._column(name)

    def view(self, part: str) -> "View":
        """A part's events and those that they may see."""
        seen = [PARTS.index(other) for other in {part, *self._split.sees[part]}]
        rows = np.flatnonzero(np.isin(self.parts, seen))
        return View(self, rows, self.times[rows], self._config.session_gap)

    def visits(self, part: str) -> tuple["View", np.ndarray]:
        """A part's queries, one per shopper, asked at the first event that is looked for.

        Args:
          part: whose events are looked for.

        Returns:
          The events that queries may see and the visits themselves, and the places of these in it.
        """
        seen = [PARTS.index(other) for other in self._split.sees[part]]
        visible = np.flatnonzero(np.isin(self.parts, seen))
        targets = np.flatnonzero((self.parts == PARTS.index(part)) & self.is_target)
        _, first = np.unique(self.numbers[targets], return_index=True)
        visits = targets[first]
        times = self.times[visits]
        if not self._split.in_time_order:
            # Whatever its date, the question comes after all that may be seen.
            latest = np.full(self.numbers.max(initial=0) + 1, np.iinfo(np.int64).min)
            np.maximum.at(latest, self.numbers[visible], self.times[visible])
            times = np.maximum(times, latest[self.numbers[visits]] + 1)
        rows = np.r_[visible, visits]
        moments = np.r_[self.times[visible], times]
        is_visit = np.arange(len(rows)) >= len(visible)
        order = np.lexsort([is_visit, moments, self.numbers[rows]])
        view = View(self, rows[order], moments[order], self._config.session_gap)
        return view, np.flatnonzero(is_visit[order])

    def _column(self, name: str) -> pa.Array:
        return self._table[name].combine_chunks()

    def _divide(self) -> np.ndarray:
        if not self._split.by_place:
            return self._split.divide(self._events(np.arange(len(self))))
        counted = np.flatnonzero(self.weights > 0)
        if not len(counted):
            return np.full(len(self), PARTS.index(TRAIN), np.int8)
        divided, owners = self._split.divide(self._events(counted)), self.numbers[counted]
        rows = np.arange(len(self))
        before = np.maximum(np.searchsorted(counted, rows, "right") - 1, 0)
        after = np.minimum(np.searchsorted(counted, rows), len(counted) - 1)
        # An impression goes with the shopper's next event that counts, or else with the last.
        nearest = np.where(owners[after] == self.numbers, after, before)
        return np.where(owners[nearest] == self.numbers, divided[nearest], PARTS.index(TRAIN))

    def _events(self, rows: np.ndarray) -> Events:
        """Some of the events, as a split looks at them."""
        numbers = self.numbers[rows]
        first = np.searchsorted(numbers, numbers, "left")
        chosen = pa.array(rows)
        return Events(
            ids=self.users.take(chosen),
            first=first,
            count=np.searchsorted(numbers, numbers, "right") - first,
            times=self.times[rows],
            part=self._column(PART).take(chosen),
        )


class View:
    """Some events of a shard, in the order of shopper and time, as a part may see them.

    Attributes:
      shard: what they are of.
      rows: `[view]` their rows in it.
      times: `[view]` int64 seconds since 1970.
      users: `[view]` the shoppers' numbers.
    """

    def __init__(self, shard: Shard, rows: np.ndarray, times: np.ndarray, gap: int) -> None:
        """Takes the events' rows and times; a session ends after `gap` seconds of silence."""
        self.shard, self.rows, self.times, self._gap = shard, rows, times, gap
        self.users = shard.numbers[rows]

    def behaviour(self, name: str) -> np.ndarray:
        """A number that earlier events give: `[view]` float32, NaN where there is none."""
        if name == "days_since_last_visit":
            return (seconds_since_last(self.users, self.times) / DAY).astype(np.float32)
        if name == "events_before":
            return events_before(self.users, self.times).astype(np.float32)
        return session_numbers(self.users, self.times, self._gap).astype(np.float32)

    def sequence(self, feature: Sequence, values: pa.Array, by_place: bool = False) -> "Lists":
        """The latest earlier values of every event in the view, oldest first.

        Args:
          feature: how many and which.
          values: `[events of the shard]`, the values to list.
          by_place: whether events of one time see those that stand before them.
        """
        moments = np.arange(len(self.rows)) if by_place else self.times
        starts, ends = earlier_events(self.users, moments, last=len(self.rows))
        if feature.within == "session":
            starts = np.minimum(session_starts(self.users, self.times, self._gap), ends)
        chosen = self.shard.is_type(feature.types)[self.rows]
        starts, ends = earlier_among(chosen, starts, ends, feature.last)
        return Lists(values.take(pa.array(self.rows[chosen])), starts, ends)

    @cached_property
    def repeats(self) -> np.ndarray:
        """Whether the shopper had an earlier event with the item, in the same basket or before."""
        counted = np.flatnonzero(self.shard.weights[self.rows] > 0)
        items = self.shard.item_rows[self.rows[counted]]
        pairs = self.users[counted] * (items.max(initial=0) + 1) + items
        _, first = np.unique(pairs, return_index=True)
        repeats = np.ones(len(self.rows), bool)
        repeats[counted[first]] = False
        return repeats


@dataclass(frozen=True)
class Lists:
    """Many ranges of one column's rows, as lists that are made when they are needed.

    Attributes:
      values: `[rows]` of any type.
      starts: `[n]` first row of each range.
      ends: `[n]` just behind its last row.
    """

    values: pa.Array
    starts: np.ndarray
    ends: np.ndarray

    def take(self, places: np.ndarray) -> pa.ListArray:
        """Makes some of the lists; missing values are left out."""
        members, offsets = expand(self.starts[places], self.ends[places])
        listed = self.values.take(pa.array(members))
        if listed.null_count:
            present = listed.is_valid().to_numpy(zero_copy_only=False)
            offsets = np.r_[0, np.cumsum(present)][offsets]
            listed = listed.drop_null()
        return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), listed)


def _weights(types: pa.Array, config: DataConfig) -> np.ndarray:
    weights = {name: weight for log in config.events for name, weight in log.weights.items()}
    encoded = types.dictionary_encode()
    known = [weights.get(name, 1.0) for name in [*encoded.dictionary.to_pylist(), None]]
    return np.asarray(known, np.float32)[encoded.indices.fill_null(-1).to_numpy()]
