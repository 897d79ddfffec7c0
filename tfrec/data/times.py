"""Casting times to seconds since 1970, and telling the units of numbers apart."""

import contextlib
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from tfrec.data.sources import BadRow, read_rows
from tfrec.data.values import Faults, fault, is_text, scalars, to_doubles, to_texts
from tfrec.errors import UserError

UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
"""Unit of a number -> how many make a second."""

# From March 1973, which no real log precedes, to the year 5138 the numbers of each unit have a
# range of their own: seconds are 1e8 to 1e11, milliseconds 1e11 to 1e14, and so on (nanoseconds end
# in 2262). Smaller numbers may be of any unit, such as times counted from the beginning of a log.
_LIMITS = (1e8, 1e11, 1e14, 1e17, 2.0**63)
_DAY_SECONDS = 86_400
_MOMENT, _ZONED_MOMENT = pa.timestamp("us"), pa.timestamp("us", "UTC")
_UNREADABLE = "no time that can be read"

_NUMBER = r"^[+-]?\d+(\.\d*)?([eE][+-]?\d+)?$"
_TIME = r"^\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d(\.\d+)?)?)?"
_ZONE = r" ?(Z|[+-]\d\d(:?\d\d)?)$"


def to_seconds(column: pa.Array, unit: str, format: str | None) -> tuple[pa.Int64Array, Faults]:
    """Casts times to whole seconds since 1970 in UTC, cutting off fractions.

    Timestamps and text without a zone are taken as UTC. A number that fits another unit, as one of
    that unit from March 1973 on, is a fault.

    Args:
      column: `[rows]` timestamps, dates, numbers, or text: numbers, ISO 8601, or as `format` says.
      unit: a key of `UNITS`, of numbers.
      format: how times are written, as for `strptime`; dates as numbers (20240131) are such text.

    Returns:
      `[rows]` int64; null where the value is null, empty text or has a fault.

    Raises:
      UserError: if `format` is none.
    """
    values, faults = scalars(column)
    seconds, wrong = _to_seconds(values, unit, format)
    return seconds, faults | wrong


def check_units(
    field: str, files: Sequence[str], time_column: str, unit: str, format: str | None
) -> None:
    """Checks by the first rows of each file that times which are numbers have the given unit.

    Args:
      field: dotted name of the config's section, for messages.
      files: paths, as `find_files` gives them.
      time_column: name of the column.
      unit: a key of `UNITS`.
      format: how times are written; with one there is nothing to check.

    Raises:
      UserError: if the numbers of a file look like another unit's, or a file cannot be read.
    """
    if format:
        return
    seen = {}
    for file in files:
        number = _first_number(file, time_column)
        if number is not None and 0 < (place := int(_places(float(number)))) <= len(UNITS):
            seen[list(UNITS)[place - 1]] = f"{number} in {file}"
    if len(seen) > 1:
        shown = " but ".join(f"{where} like {found}" for found, where in seen.items())
        raise UserError(f"{field}.{time_column}: {shown}; give {unit} in all files")
    for found, where in seen.items():
        if found != unit:
            raise UserError(f"{field}.unit: {unit}, but {where} is like {found}; give {found}")


def _to_seconds(values: pa.Array, unit: str, format: str | None) -> tuple[pa.Int64Array, Faults]:
    kind = values.type
    if pa.types.is_timestamp(kind):
        return _divide(values.cast(pa.int64()), UNITS[kind.unit]), {}
    if pa.types.is_date(kind):
        days = values.cast(pa.date32()).cast(pa.int32()).cast(pa.int64())
        return pc.multiply(days, _DAY_SECONDS), {}
    if not format and not is_text(kind):
        return _from_numbers(values, unit)
    texts, faults = to_texts(values)
    texts = pc.utf8_trim_whitespace(texts)
    texts = pc.if_else(pc.equal(texts, ""), None, texts)
    seconds, wrong = _parse_format(texts, format) if format else _parse(texts, unit)
    return seconds, faults | wrong


def _from_numbers(values: pa.Array, unit: str) -> tuple[pa.Int64Array, Faults]:
    numbers, _ = to_doubles(values)
    faults = fault(_UNREADABLE, pc.and_(values.is_valid(), numbers.is_null()))
    finite = pc.is_finite(numbers)
    faults |= fault("not finite", pc.invert(finite))
    doubles = pc.if_else(finite, numbers, 0).fill_null(0).to_numpy()
    places = _places(doubles)
    for place, other in enumerate(UNITS, 1):
        if other != unit:
            faults |= fault(f"looks like {other}, not {unit}", pa.array(places == place))
    beyond = pa.array(places > len(UNITS))
    faults |= fault(_UNREADABLE, pc.or_(faults.get(_UNREADABLE, beyond), beyond))
    good = finite.fill_null(False)
    for mask in faults.values():
        good = pc.and_not(good, mask)
    if pa.types.is_integer(values.type):
        whole = pc.if_else(good, values, None).cast(pa.int64())
        return _divide(whole, UNITS[unit]), faults
    seconds = np.where(good, np.floor(doubles / UNITS[unit]), 0).astype(np.int64)
    return pa.array(seconds, mask=pc.invert(good).to_numpy(zero_copy_only=False)), faults


def _places(numbers: np.ndarray | float) -> np.ndarray:
    """0 for a number that may be of any unit, 1 for seconds, ..., 5 for one that is of none."""
    return np.digitize(np.abs(numbers), _LIMITS)


def _divide(ticks: pa.Int64Array, factor: int) -> pa.Int64Array:
    """Divides and rounds down, which Arrow's own division does not do below zero."""
    quotients = ticks.fill_null(0).to_numpy() // factor
    return pa.array(quotients, mask=ticks.is_null().to_numpy(zero_copy_only=False))


def _parse(texts: pa.StringArray, unit: str) -> tuple[pa.Int64Array, Faults]:
    """Reads numbers and ISO 8601: at once if all are of one kind, otherwise kind by kind."""
    with contextlib.suppress(pa.ArrowInvalid):
        return _from_numbers(texts.cast(pa.int64()), unit)
    for kind in (_MOMENT, _ZONED_MOMENT):
        with contextlib.suppress(pa.ArrowInvalid):
            return _divide(texts.cast(kind).cast(pa.int64()), UNITS["us"]), {}
    is_number = pc.match_substring_regex(texts, _NUMBER)
    numbers, faults = _parse_numbers(pc.if_else(is_number, texts, None), unit)
    naive, zoned = (
        _parse_times(pc.if_else(pc.match_substring_regex(texts, form), texts, None), kind)
        for form, kind in ((f"{_TIME}$", _MOMENT), (_TIME + _ZONE, _ZONED_MOMENT))
    )
    seconds = pc.coalesce(numbers, naive, zoned)
    unread = pc.and_not(seconds.is_null(), is_number)
    return seconds, faults | fault(
        _UNREADABLE, pc.or_kleene(unread, faults.get(_UNREADABLE, unread))
    )


def _parse_numbers(texts: pa.StringArray, unit: str) -> tuple[pa.Int64Array, Faults]:
    try:
        return _from_numbers(texts.cast(pa.int64()), unit)
    except pa.ArrowInvalid:
        return _from_numbers(to_doubles(texts)[0], unit)


def _parse_times(texts: pa.StringArray, kind: pa.TimestampType) -> pa.Int64Array:
    """Reads text of the form of ISO 8601; null where it is no moment, such as a 13th month."""
    texts = pc.replace_substring_regex(texts, r"(\.\d{6})\d+", r"\1")
    if kind.tz:
        texts = pc.replace_substring_regex(texts, _ZONE, r"\1")
    try:
        moments = texts.cast(kind)
    except pa.ArrowInvalid:
        moments = pa.array([_parse_time(text, kind) for text in texts], kind)
    return _divide(moments.cast(pa.int64()), UNITS["us"])


def _parse_time(text: pa.StringScalar, kind: pa.TimestampType) -> int | None:
    try:
        return text.cast(kind).value
    except pa.ArrowInvalid:
        return None


def _parse_format(texts: pa.StringArray, format: str) -> tuple[pa.Int64Array, Faults]:
    """Reads text as a format says.

    Arrow is 30 times faster than pandas, but takes the 30th of February for the 1st of March and
    knows no fractions: only what it would write as it was written is right for certain.
    """
    moments = pc.strptime(texts, format=format, unit="s", error_is_null=True)
    written = pc.strftime(moments.cast(pa.timestamp("s", "UTC")), format=format)
    doubtful = pc.and_not(texts.is_valid(), pc.equal(written, texts).fill_null(False))
    again = pd.Series(texts.filter(doubtful).to_pylist(), dtype=object)
    try:
        read = pd.to_datetime(again, format=format, errors="coerce", utc=True)
    except ValueError as error:
        raise UserError(f"format: {format!r}: {error}; write it as for strptime") from None
    nanoseconds = pa.array(read).cast(pa.int64())
    seconds = pc.if_else(doubtful, None, moments.cast(pa.int64()))
    seconds = pc.replace_with_mask(seconds, doubtful, _divide(nanoseconds, UNITS["ns"]))
    return seconds, fault(_UNREADABLE, pc.and_not(texts.is_valid(), seconds.is_valid()))


def _first_number(file: str, column: str) -> int | float | str | None:
    """The first time in a file's head, as it is there, if it is a number."""
    for batch in read_rows(file, [column]):
        if not isinstance(batch, BadRow):
            values, _ = scalars(batch.column(0))
            numbers, _ = to_doubles(values)
            found = np.flatnonzero(pc.is_finite(numbers).fill_null(False))
            return values[int(found[0])].as_py() if len(found) else None
    return None
