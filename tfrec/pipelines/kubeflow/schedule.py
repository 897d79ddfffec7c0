"""Cron lines as Kubeflow Pipelines takes them: six fields, the first one seconds."""

import re
from collections.abc import Sequence
from typing import NamedTuple, NoReturn

from tfrec.errors import UserError

_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_WEEKDAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
_ALL = ("*", "?")
_LONGEST = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


class _Field(NamedTuple):
    name: str
    low: int
    high: int
    names: Sequence[str] = ()

    @property
    def last(self) -> int:
        """The last value that `*` stands for: Sunday is 0 and 7."""
        return 6 if self.names is _WEEKDAYS else self.high


_SECONDS = _Field("second", 0, 59)
_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of month", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    _Field("day of week", 0, 7, _WEEKDAYS),
)


def to_kubeflow(line: str) -> str:
    """Translates a cron line.

    Args:
      line: `minute hour day-of-month month day-of-week`, e.g. `0 3 * * *`, as crontab(5) has them;
        or the same behind a field of seconds.

    Returns:
      Six fields; weekday 7, which Kubeflow does not know, is 0.

    Raises:
      UserError: naming the field that is wrong.
    """
    written = line.split()
    if len(written) not in (5, 6):
        raise UserError(
            f"schedule {line!r}: has {len(written)} fields, not 5 (minute, hour, day of month, "
            "month, day of week); e.g. '0 3 * * *' for every night at three"
        )
    written = ["0", *written][-6:]
    chosen = [
        _values(line, field, text)
        for field, text in zip((_SECONDS, *_FIELDS), written, strict=True)
    ]
    days, months = chosen[3], chosen[4]
    if written[5] in _ALL and min(days) > max(_LONGEST[month - 1] for month in months):
        raise UserError(
            f"schedule {line!r}: day of month {written[3]!r} never comes in month {written[4]!r}; "
            "the schedule would never run"
        )
    if 7 in chosen[5]:
        written[5] = ",".join(str(day) for day in sorted({day % 7 for day in chosen[5]}))
    return " ".join(written)


def _values(line: str, field: _Field, text: str) -> set[int]:
    """The values that a field names."""
    values: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"([*?]|\w+)(?:-(\w+))?(?:/(\d+))?", part)
        if not match or (match[1] in _ALL and match[2]):
            _refuse(line, field, part, "give numbers, lists 1,2, ranges 1-5, steps */2 or *")
        first, last, step = match.groups()
        if first in _ALL:
            low, high = field.low, field.last
        else:
            low = _number(line, field, first)
            high = _number(line, field, last) if last else (field.last if step else low)
        if low > high:
            _refuse(line, field, part, "its range goes backwards; write two, e.g. 22-23,0-2")
        if step and not int(step):
            _refuse(line, field, part, "a step of 0 goes nowhere")
        values.update(range(low, high + 1, int(step or 1)))
    return values


def _number(line: str, field: _Field, text: str) -> int:
    names = {name: field.low + place for place, name in enumerate(field.names)}
    if text.lower() in names:
        return names[text.lower()]
    if not text.isdecimal() or not field.low <= int(text) <= field.high:
        known = f" or {field.names[0]} to {field.names[-1]}" if field.names else ""
        _refuse(line, field, text, f"must be {field.low} to {field.high}{known}")
    return int(text)


def _refuse(line: str, field: _Field, text: str, remedy: str) -> NoReturn:
    raise UserError(f"schedule {line!r}: {field.name} {text!r}: {remedy}")
