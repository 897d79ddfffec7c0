"""A proposal for the `features` section of a shop's log and catalogue."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfrec.data.columns import CALENDAR
from tfrec.data.config import Items, Log, Source
from tfrec.data.guess import Guess, guess
from tfrec.data.sample import read_sample
from tfrec.data.sources import column_types, find_files
from tfrec.data.times import UNITS, to_seconds
from tfrec.data.values import to_strings
from tfrec.errors import UserError
from tfrec.features import Role
from tfrec.features.association import predictability, variance_explained
from tfrec.features.infer import (
    Proposal,
    embedding_size,
    names_id,
    propose,
    propose_id,
    write_section,
)
from tfrec.features.statistics import Facts, compute_statistics, describe

HISTORY = 50
"""Values that are proposed for the sequence of a shopper's items."""

_TELLS = 0.99
_FOLLOWS_TIME = 0.9
_ROWS_PER_VALUE = 20
_CALENDAR_SIZES = {"weekday": 7, "hour": 24}


class _Table(NamedTuple):
    """Rows of a source.

    Attributes:
      raw: as they were read.
      guesses: column -> what it holds.
      facts: column -> what is known of it, where a feature can be made of it.
    """

    raw: pa.Table
    guesses: Mapping[str, Guess]
    facts: Mapping[str, Facts]

    def column(self, name: str) -> pa.Array:
        return self.raw[name].combine_chunks()

    def ids(self, name: str) -> pa.Array:
        return to_strings(self.column(name))[0]

    def propose(self, name: str, role: Role) -> Proposal:
        values, separator, reason = self.guesses[name]
        if name.startswith("_"):
            return Proposal(None, "names with a leading underscore are the framework's own")
        if values is None:
            return Proposal(None, reason)
        return propose(name, role, values, self.facts[name], separator)


def infer_features(log: Log, items: Items, roles: Mapping[str, Role], rows: int) -> str:
    """Proposes features from the first rows of a log and a catalogue.

    - The ids are categories, and the items before are a sequence. Weekday and hour are read from
      the time.
    - A column of the catalogue describes the item.
    - A column of the log describes the shopper where it has one value for each. It is left out
      where it has one for each item, for it would tell the model what was taken; and where it is a
      number, for what is counted in an event is seldom known before it. What is left describes the
      moment, unless a value has fewer than 20 rows, as an order's id has, or comes and goes with
      time, as a week's number does.

    `propose` says which kind a column gets.

    Args:
      log: where the events are.
      items: where the catalogue is.
      roles: column -> role, which is not asked then, nor is the column left out.
      rows: how many rows to read of each.

    Returns:
      YAML, with the reason beside each line.

    Raises:
      UserError: if a file or a column is not there, or there is nothing to describe the items with.
    """
    events = _read("events", log.source, rows)
    catalogue = _read("items", items.source, rows)
    _check_columns(log, items, roles, events, catalogue)
    proposals = {
        log.user: propose_id("user", _distinct(events.ids(log.user))),
        **_of_log(log, events, roles),
        log.item: propose_id("item", _distinct(catalogue.ids(items.id))),
        **_of_catalogue(log, items, catalogue, roles),
    }
    heading = [
        f"Proposed from {events.raw.num_rows:,} rows of the events and "
        f"{catalogue.raw.num_rows:,} of the items; more rows may hold more values."
    ]
    return write_section(proposals, heading)


def _of_log(log: Log, events: _Table, roles: Mapping[str, Role]) -> dict[str, Proposal]:
    history = {"role": "user", "kind": "sequence", "of": log.item, "last": HISTORY}
    proposals = {f"recent_{log.item}": Proposal(history, "the items of earlier events")}
    for name in events.raw.column_names:
        if name in roles:
            if roles[name] != "item":
                proposals[name] = events.propose(name, roles[name])
        elif name not in (log.user, log.item, log.time, log.type_column):
            proposals[name] = _of_event(name, log, events)
    for name in CALENDAR:
        if name not in events.raw.column_names:
            size = embedding_size(_CALENDAR_SIZES[name])
            content = {"role": "context", "kind": "categorical", "embedding": size}
            proposals[name] = Proposal(content, "from the time of the event, in UTC")
    return proposals


def _of_event(name: str, log: Log, events: _Table) -> Proposal:
    proposal = events.propose(name, "context")
    values = events.guesses[name].values
    if proposal.content is None or values is None or pa.types.is_nested(values.type):
        return proposal
    codes = _codes(values)
    if predictability(_codes(events.ids(log.user)), codes) >= _TELLS:
        return events.propose(name, "user")
    if predictability(_codes(events.ids(log.item)), codes) >= _TELLS:
        return Proposal(None, "has one value for each item, so it would tell the item")
    if not pa.types.is_string(values.type) and not names_id(name):
        return Proposal(None, "a number of the event, seldom known before it")
    if proposal.content["kind"] == "categorical":
        facts = events.facts[name]
        if facts.values < _ROWS_PER_VALUE * facts.distinct:
            return Proposal(None, f"{facts.distinct:,} values of few rows each, as an order's id")
        times = _times(log, events)
        known = np.isfinite(times)
        if variance_explained(codes[known], times[known]) >= _FOLLOWS_TIME:
            return Proposal(None, "its values come and go with time")
    return proposal


def _of_catalogue(
    log: Log, items: Items, catalogue: _Table, roles: Mapping[str, Role]
) -> dict[str, Proposal]:
    ids = (log.user, log.item, items.id)
    return {
        name: catalogue.propose(name, "item")
        for name in catalogue.raw.column_names
        if name not in ids and roles.get(name, "item") == "item"
    }


def _read(field: str, source: Source, rows: int) -> _Table:
    files = find_files(field, source)
    raw = read_sample(files, list(column_types(field, files)), rows)
    guesses = {name: guess(raw[name].combine_chunks()) for name in raw.column_names}
    columns = {name: g.values for name, g in guesses.items() if g.values is not None}
    return _Table(raw, guesses, describe(columns, compute_statistics(columns)))


def _times(log: Log, events: _Table) -> np.ndarray:
    """Times as float64, in the unit that the most of them fit; NaN where there is none."""
    column = events.column(log.time)
    casts = [to_seconds(column, unit, log.format)[0] for unit in UNITS]
    return min(casts, key=lambda times: times.null_count).cast(pa.float64()).to_numpy(False)


def _codes(column: pa.Array) -> np.ndarray:
    """Whole numbers from 0 on for a column's values; a missing one has its own."""
    return column.dictionary_encode("encode").indices.to_numpy()


def _distinct(column: pa.Array) -> int:
    return pc.count_distinct(column).as_py()


def _check_columns(
    log: Log, items: Items, roles: Mapping[str, Role], events: _Table, catalogue: _Table
) -> None:
    named = [("--user", log.user, events), ("--item", log.item, events)]
    named += [("--time", log.time, events), ("--id", items.id, catalogue)]
    named += [
        (f"--role-of {name}={role}", name, catalogue if role == "item" else events)
        for name, role in roles.items()
    ]
    problems = [
        f"{option}: no column {name!r} in the data; it has {', '.join(table.raw.column_names)}"
        for option, name, table in named
        if name not in table.raw.column_names
    ]
    if problems:
        raise UserError("\n".join(problems))
