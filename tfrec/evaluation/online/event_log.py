"""Impressions, clicks and orders in memory, by shopper and time."""

import re
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from datetime import datetime, timezone
from enum import IntEnum
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfrec.data.sessions import session_numbers
from tfrec.data.times import to_seconds
from tfrec.data.values import Faults, to_strings
from tfrec.errors import UserError
from tfrec.evaluation.online.config import EventSource, EventTypes, OnlineConfig
from tfrec.evaluation.online.reading import Rows, Wanted, numbers, read_columns


class Kind(IntEnum):
    """What an event is; of events of one moment the smaller came first."""

    IMPRESSION = 0
    CLICK = 1
    ORDER = 2
    HIDE = 3
    OTHER = 4


@dataclass(frozen=True)
class EventLog:
    """Events sorted by shopper, time and kind; each array is `[events]`.

    Attributes:
      users: int64 numbers of the shoppers, below `user_count`.
      items: int64 numbers of the items.
      times: int64 seconds since 1970.
      kinds: int8, of `Kind`.
      sessions: int64 numbers of the sessions, over all shoppers.
      revenue: float64 money, NaN where there is none; None if the log has no such column.
      dwell: float64 seconds, likewise.
      arms: int64 places in `arm_names`, -1 where there is none; None likewise.
      user_count: how many shoppers there are.
      arm_names: the arms that occur.
      types: the events' types that occur.
      as_of: the end of the log, in seconds since 1970.
      left_out: reason -> rows that are not in it.
    """

    users: np.ndarray
    items: np.ndarray
    times: np.ndarray
    kinds: np.ndarray
    sessions: np.ndarray
    revenue: np.ndarray | None
    dwell: np.ndarray | None
    arms: np.ndarray | None
    user_count: int
    arm_names: tuple[str, ...]
    types: tuple[str, ...]
    as_of: int
    left_out: dict[str, int]

    def __len__(self) -> int:
        """The number of events."""
        return len(self.times)

    def only(self, chosen: np.ndarray, **changes: Any) -> "EventLog":
        """The log of some of the events, given as `[events]` bool or in a new order."""
        arrays = {
            field.name: values[chosen]
            for field in fields(self)
            if isinstance(values := getattr(self, field.name), np.ndarray)
        }
        return replace(self, **{**arrays, **changes})

    def per_user(self, rows: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        """Counts rows, or sums their weights, by shopper: `[user_count]` float64."""
        counts = np.bincount(self.users[rows], weights=weights, minlength=self.user_count)
        return counts.astype(np.float64)


def read_events(config: OnlineConfig) -> EventLog:
    """Reads the logs of a config.

    Returns:
      The events up to `as_of`.

    Raises:
      UserError: if there is nothing to read, or too much of it is wrong.
    """
    logs = config.logs
    names = ["events" if len(logs) == 1 else f"events.{place}" for place in range(len(logs))]
    read = [
        read_columns(name, log, _wanted(log), config.max_reject_share)
        for name, log in zip(names, logs, strict=True)
    ]
    left_out = {
        reason: sum(rows.rejected[reason] for rows in read)
        for reason in dict.fromkeys(reason for rows in read for reason in rows.rejected)
    }
    join = partial(_join, logs, read)
    users, _ = _encode(join("user"))
    items, _ = _encode(join("item"))
    types = join("type", lambda log: log.type)
    _, type_names = _encode(types)
    arms, arm_names = _encode(join("arm")) if any(log.arm for log in logs) else (None, ())
    times = join("time").to_numpy()
    as_of = utc_seconds(config.as_of) if config.as_of else int(times.max())
    log = EventLog(
        users=users,
        items=items,
        times=times,
        kinds=_kinds(types, config.types),
        sessions=np.zeros(len(times), np.int64),
        revenue=_revenue(logs, read),
        dwell=_floats(join("dwell")) if any(log.dwell for log in logs) else None,
        arms=arms,
        user_count=int(users.max()) + 1,
        arm_names=arm_names,
        types=type_names,
        as_of=as_of,
        left_out=left_out,
    )
    order = np.lexsort([log.kinds, times, users])
    whole = log.only(order, sessions=_sessions(log, order, join("session"), config))
    return _up_to(whole, as_of)


def utc_seconds(moment: datetime) -> int:
    """Seconds since 1970; a moment without a zone is in UTC."""
    return int((moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp())


def _wanted(log: EventSource) -> dict[str, Wanted]:
    to_times = partial(to_seconds, unit=log.unit, format=log.format)
    columns = {
        "user": Wanted(log.user, to_strings),
        "item": Wanted(log.item, to_strings),
        "time": Wanted(log.time, to_times),
    }
    if log.type_column:
        columns["type"] = Wanted(log.type_column, to_strings)
    for name, cast in (
        ("session", to_strings),
        ("revenue", numbers),
        ("quantity", numbers),
        ("dwell", numbers),
        ("arm", partial(_arms, experiment=log.experiment)),
    ):
        if column := getattr(log, name):
            columns[name] = Wanted(column, cast, required=False)
    return columns


def _arms(column: pa.Array, experiment: str | None) -> tuple[pa.Array, Faults]:
    """The arms of a test, null where there is none."""
    labels, faults = to_strings(column)
    if experiment is None:
        return labels, faults
    pattern = f"(?:^|;){re.escape(experiment)}=(?P<arm>[^;]*)"
    return pc.struct_field(pc.extract_regex(labels, pattern), [0]), faults


def _join(
    logs: tuple[EventSource, ...],
    read: list[Rows],
    name: str,
    default: Callable[[EventSource], str | None] = lambda _: None,
) -> pa.Array:
    """A column of all logs; where one lacks it, the default or null."""
    kind = next((rows.columns[name].type for rows in read if name in rows.columns), pa.string())
    parts = [
        rows.columns.get(name, pa.repeat(pa.scalar(default(log), kind), len(rows)))
        for log, rows in zip(logs, read, strict=True)
    ]
    return pa.concat_arrays(parts)


def _encode(values: pa.Array) -> tuple[np.ndarray, tuple[str, ...]]:
    """Numbers of strings, -1 for null, and what they stand for."""
    encoded = values.dictionary_encode()
    numbers = encoded.indices.fill_null(-1).to_numpy().astype(np.int64)
    return numbers, tuple(encoded.dictionary.to_pylist())


def _kinds(types: pa.Array, named: EventTypes) -> np.ndarray:
    kinds = np.full(len(types), Kind.OTHER, np.int8)
    for kind in (Kind.IMPRESSION, Kind.CLICK, Kind.ORDER, Kind.HIDE):
        names = pa.array(getattr(named, kind.name.lower()), pa.string())
        kinds[pc.is_in(types, names).to_numpy(zero_copy_only=False)] = kind
    return kinds


def _revenue(logs: tuple[EventSource, ...], read: list[Rows]) -> np.ndarray | None:
    if not any(log.revenue for log in logs):
        return None
    quantities = [
        _floats(rows.columns["quantity"]) if log.quantity else np.ones(len(rows))
        for log, rows in zip(logs, read, strict=True)
    ]
    return _floats(_join(logs, read, "revenue")) * np.concatenate(quantities)


def _floats(values: pa.Array) -> np.ndarray:
    return values.cast(pa.float64()).to_numpy(zero_copy_only=False)


def _sessions(log: EventLog, order: np.ndarray, ids: pa.Array, config: OnlineConfig) -> np.ndarray:
    """Numbers the sessions of sorted events: as the log says, or by silences where it does not."""
    users, times = log.users[order], log.times[order]
    named, _ = _encode(ids)
    named = named[order]
    numbers = session_numbers(users, times, config.session_gap)
    keys = np.stack([users, named, np.where(named < 0, numbers, -1)])
    return _number_columns(keys)


def _number_columns(keys: np.ndarray) -> np.ndarray:
    """Numbers equal columns of `[keys, events]` alike."""
    order = np.lexsort(keys)
    new = (np.diff(keys[:, order], axis=1) != 0).any(axis=0)
    found = np.empty(len(order), np.int64)
    found[order] = np.concatenate([[0], np.cumsum(new)])
    return found


def _up_to(log: EventLog, as_of: int) -> EventLog:
    early = log.times <= as_of
    if not early.any():
        moment = datetime.fromtimestamp(as_of, timezone.utc).isoformat()
        raise UserError(f"as_of: {moment}: the log has no event up to then; give a later moment")
    late = int((~early).sum())
    left_out = {**log.left_out, **({"after as_of": late} if late else {})}
    return log.only(early, left_out=left_out)
