"""Dividing events into parts for training, validation and test.

Every event belongs to one part. What a query of a part may see is decided here too, so that
nothing of the part itself, or of a later one, reaches features, sequences or vocabularies.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from tfrec.data.config import (
    FileSplit,
    LastOutSplit,
    RandomSplit,
    TimeSplit,
    UserSplit,
)
from tfrec.errors import UserError

TRAIN, VALIDATION, TEST = "train", "validation", "test"
SHOWN = "shown"
"""Events that are not trained on but may be seen: of held-out shoppers, or learned from before."""

EXAMPLE_PARTS = (TRAIN, VALIDATION, TEST)
"""The parts that Examples are written of."""

PARTS = (*EXAMPLE_PARTS, SHOWN)
_TRAIN, _VALIDATION, _TEST, _SHOWN = range(len(PARTS))


@dataclass(frozen=True)
class Events:
    """What a split may look at: the events of whole shoppers, each one's together and in time.

    Attributes:
      ids: `[events]` strings, the shoppers' ids.
      first: `[events]` int64, the row of the shopper's first event.
      count: `[events]` int64, the shopper's number of events.
      times: `[events]` int64 seconds since 1970.
      part: `[events]` strings, the part that a split by files gave; null otherwise.
    """

    ids: pa.Array
    first: np.ndarray
    count: np.ndarray
    times: np.ndarray
    part: pa.Array

    @property
    def place(self) -> np.ndarray:
        """`[events]` int64, each event's place among the shopper's, from 0."""
        return np.arange(len(self.times)) - self.first


Sees = Mapping[str, tuple[str, ...]]


class Split(Protocol):
    """A way to divide events.

    Attributes:
      sees: part -> the parts whose events its queries and features may see.
      in_time_order: whether these all happen before the part's own events; otherwise they may be
        seen whatever their time, also at the same one.
      by_place: whether a part follows from an event's place among the shopper's; then only events
        that count in training are divided, and the others go with them.
    """

    sees: ClassVar[Sees]
    in_time_order: ClassVar[bool]
    by_place: ClassVar[bool]

    def divide(self, events: Events) -> np.ndarray:
        """Gives every event its part: `[events]` int8, places in `PARTS`."""


_EARLIER_PARTS: Sees = {TRAIN: (TRAIN,), VALIDATION: (TRAIN,), TEST: (TRAIN, VALIDATION)}


@dataclass(frozen=True)
class ByTime:
    """Cuts at two moments, in seconds since 1970; later parts begin with them."""

    validation: int
    test: int
    sees: ClassVar[Sees] = _EARLIER_PARTS
    in_time_order: ClassVar[bool] = True
    by_place: ClassVar[bool] = False

    def divide(self, events: Events) -> np.ndarray:
        """Gives every event the part that its time falls into."""
        parts = np.searchsorted([self.validation, self.test], events.times, side="right")
        return parts.astype(np.int8)


@dataclass(frozen=True)
class NewByTime(ByTime):
    """Cuts at the same moments, and trains on no event from before `since`, which all may see."""

    since: int
    sees: ClassVar[Sees] = {
        TRAIN: (TRAIN, SHOWN),
        VALIDATION: (TRAIN, SHOWN),
        TEST: (TRAIN, VALIDATION, SHOWN),
    }

    def divide(self, events: Events) -> np.ndarray:
        """Gives every event the part that its time falls into."""
        parts = super().divide(events)
        parts[(parts == _TRAIN) & (events.times < self.since)] = _SHOWN
        return parts


@dataclass(frozen=True)
class LeaveLastOut:
    """A shopper's last event is for test and the one before for validation.

    Of events at one time, the log's last is the last. Shoppers with fewer than three events are
    only trained on.

    Source: Kang and McAuley, Self-Attentive Sequential Recommendation, ICDM 2018.
    """

    sees: ClassVar[Sees] = _EARLIER_PARTS
    in_time_order: ClassVar[bool] = False
    by_place: ClassVar[bool] = True

    def divide(self, events: Events) -> np.ndarray:
        """Gives every event the part of its place from the end."""
        from_end = events.count - events.place
        parts = np.where(from_end == 1, _TEST, np.where(from_end == 2, _VALIDATION, _TRAIN))
        return np.where(events.count >= 3, parts, _TRAIN).astype(np.int8)


@dataclass(frozen=True)
class ByChance:
    """Random shares of each shopper's events; a share of half an event is rounded by chance.

    Source: weak generalisation, Marlin, Modeling User Rating Profiles for Collaborative
    Filtering, NIPS 2003.
    """

    validation: float
    test: float
    seed: int
    sees: ClassVar[Sees] = {TRAIN: (TRAIN,), VALIDATION: (TRAIN,), TEST: (TRAIN,)}
    in_time_order: ClassVar[bool] = False
    by_place: ClassVar[bool] = True

    def divide(self, events: Events) -> np.ndarray:
        """Ranks each shopper's events by chance and cuts the ranks."""
        users = _hash(events.ids)
        chance = _uniform(users, events.place, self.seed)
        rank = np.empty(len(chance), np.int64)
        order = np.lexsort([chance, events.first])
        rank[order] = events.place
        rounding = _uniform(users, -1, self.seed)
        test = np.floor(events.count * self.test + rounding)
        both = np.floor(events.count * (self.test + self.validation) + rounding)
        parts = np.where(rank < test, _TEST, np.where(rank < both, _VALIDATION, _TRAIN))
        return parts.astype(np.int8)


@dataclass(frozen=True)
class ByUser:
    """Holds shoppers out whole; the first share of each one's events is what their query shows.

    Source: strong generalisation, Marlin, Modeling User Rating Profiles for Collaborative
    Filtering, NIPS 2003.
    """

    validation: float
    test: float
    shown: float
    seed: int
    sees: ClassVar[Sees] = {TRAIN: (TRAIN,), VALIDATION: (SHOWN,), TEST: (SHOWN,)}
    in_time_order: ClassVar[bool] = False
    by_place: ClassVar[bool] = True

    def divide(self, events: Events) -> np.ndarray:
        """Gives every shopper a part by chance, and hides the latest events of the held-out."""
        chance = _uniform(_hash(events.ids), -2, self.seed)
        held_out = self.test + self.validation
        parts = np.where(chance < self.test, _TEST, np.where(chance < held_out, _VALIDATION, 0))
        shown = np.minimum(np.rint(events.count * self.shown), events.count - 1)
        return np.where((parts > 0) & (events.place < shown), _SHOWN, parts).astype(np.int8)


@dataclass(frozen=True)
class ByFile:
    """Parts made elsewhere; a query sees all of the earlier parts, whatever their time."""

    sees: ClassVar[Sees] = _EARLIER_PARTS
    in_time_order: ClassVar[bool] = False
    by_place: ClassVar[bool] = False

    def divide(self, events: Events) -> np.ndarray:
        """Gives every event the part of its file."""
        return pc.index_in(events.part, pa.array(PARTS)).to_numpy().astype(np.int8)


def make_split(
    config: TimeSplit | LastOutSplit | RandomSplit | UserSplit | FileSplit,
    first: int,
    last: int,
    seed: int,
) -> Split:
    """Makes the split that a config asks for.

    Args:
      config: the `data.split` section.
      first: time of the log's first event, in seconds since 1970.
      last: time of its last event.
      seed: of what is random.

    Returns:
      The split.

    Raises:
      UserError: if nothing would be left to train on.
    """
    if isinstance(config, TimeSplit):
        test = last + 1 - config.test
        validation = test - config.validation
        if validation <= first:
            days = (last - first) / 86_400
            raise UserError(
                f"data.split: validation and test take all {days:.1f} days of events; shorten them"
            )
        return ByTime(validation, test)
    if isinstance(config, RandomSplit | UserSplit) and config.validation + config.test >= 1:
        raise UserError(
            f"data.split: validation {config.validation} and test {config.test} take everything; "
            "lower them"
        )
    if isinstance(config, RandomSplit):
        return ByChance(config.validation, config.test, seed)
    if isinstance(config, UserSplit):
        return ByUser(config.validation, config.test, config.shown, seed)
    return LeaveLastOut() if isinstance(config, LastOutSplit) else ByFile()


def only_new(split: Split, since: int) -> Split:
    """Lets a split train on nothing from before a moment.

    Args:
      split: by time.
      since: the moment, in seconds since 1970.

    Raises:
      UserError: if the split is not by time.
    """
    if not isinstance(split, ByTime):
        raise UserError("pipeline.warm_start: needs data.split of kind time, which has new days")
    return NewByTime(split.validation, split.test, since)


def _hash(ids: pa.Array) -> np.ndarray:
    distinct = ids.dictionary_encode()
    hashes = pd.util.hash_array(distinct.dictionary.to_numpy(False), categorize=False)
    return hashes[distinct.indices.to_numpy()]


def _uniform(users: np.ndarray, places: np.ndarray | int, seed: int) -> np.ndarray:
    """Numbers in [0, 1) that depend on shopper, place and seed alone, not on how files are cut.

    Source: the finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
    """
    with np.errstate(over="ignore"):
        x = users + np.asarray(places).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        x += np.uint64(seed) * np.uint64(0xD1B54A32D192ED03)
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            x = (x ^ (x >> np.uint64(shift))) * np.uint64(factor)
        x ^= x >> np.uint64(31)
    return (x >> np.uint64(11)).astype(np.float64) * 2.0**-53
