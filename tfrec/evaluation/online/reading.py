"""Columns of a log in memory, cast, without the rows that cannot be right."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from tfrec.config import Section
from tfrec.data.config import Source
from tfrec.data.sources import BadRow, column_types, find_files, read_rows
from tfrec.data.values import Faults, fault, scalars, to_doubles, to_strings
from tfrec.errors import UserError

Cast = Callable[[pa.Array], tuple[pa.Array, Faults]]


class Selection(Section):
    """Some rows of files.

    Attributes:
      source: where the files are.
      where: column -> the value that a row must have there; by default every row counts.
    """

    source: Source
    where: Mapping[str, str] = {}


class Wanted(NamedTuple):
    """A column to read.

    Attributes:
      column: its name in the files.
      cast: makes it what it should be, and says what is wrong with which rows.
      required: whether a row without a value is rejected.
    """

    column: str
    cast: Cast
    required: bool = True


@dataclass(frozen=True)
class Rows:
    """What was read.

    Attributes:
      columns: name -> `[rows]`.
      rejected: reason -> rows that are not among them.
    """

    columns: dict[str, pa.Array]
    rejected: Counter[str]

    def __len__(self) -> int:
        """The number of rows."""
        return len(next(iter(self.columns.values())))


def read_columns(
    field: str, selection: Selection, wanted: Mapping[str, Wanted], max_reject_share: float = 0.01
) -> Rows:
    """Reads columns of all rows that a selection takes.

    Args:
      field: dotted name of the config's section, for messages.
      selection: the rows.
      wanted: name -> column.
      max_reject_share: the largest share of rows that may be rejected.

    Returns:
      The rows that have no fault.

    Raises:
      UserError: if there is no such file, column or row, or too many rows are rejected.
    """
    files = find_files(f"{field}.source", selection.source)
    _check_columns(field, files, selection, wanted)
    names = [*{*selection.where, *(one.column for one in wanted.values())}]
    pieces: list[dict[str, pa.Array]] = []
    rejected: Counter[str] = Counter()
    for file in files:
        for batch in read_rows(file, names):
            if isinstance(batch, BadRow):
                rejected[batch.reason] += 1
            else:
                pieces.append(_cast(_select(batch, selection.where), wanted, rejected))
    columns = {name: pa.concat_arrays([piece[name] for piece in pieces]) for name in wanted}
    rows = Rows(columns, rejected)
    _check_rows(field, rows, selection, max_reject_share)
    return rows


def numbers(column: pa.Array) -> tuple[pa.Array, Faults]:
    """Casts to finite float64; null where there is no value."""
    values, faults = scalars(column)
    doubles, wrong = to_doubles(values)
    is_finite = pc.is_finite(doubles)
    faults |= wrong | fault("not finite", pc.invert(is_finite))
    return pc.if_else(is_finite, doubles, None), faults


def _check_columns(
    field: str, files: list[str], selection: Selection, wanted: Mapping[str, Wanted]
) -> None:
    known = column_types(f"{field}.source", files)
    named = {f"{field}.{name}": one.column for name, one in wanted.items()}
    named |= {f"{field}.where": column for column in selection.where}
    lacking = [
        f"{name}: no column {column!r}; known: {', '.join(known)}"
        for name, column in named.items()
        if column not in known
    ]
    if lacking:
        raise UserError("\n".join(lacking))


def _select(batch: pa.RecordBatch, where: Mapping[str, str]) -> pa.RecordBatch:
    for column, value in where.items():
        batch = batch.filter(pc.equal(to_strings(batch[column])[0], value).fill_null(False))
    return batch


def _cast(
    batch: pa.RecordBatch, wanted: Mapping[str, Wanted], rejected: Counter[str]
) -> dict[str, pa.Array]:
    """Casts a batch and counts and leaves out rows with a fault; a row's first one counts."""
    columns: dict[str, pa.Array] = {}
    faults: Faults = {}
    for name, one in wanted.items():
        columns[name], wrong = one.cast(batch[one.column])
        faults |= {f"{name}: {reason}": mask for reason, mask in wrong.items()}
        if one.required:
            missing = reduce(pc.and_not, wrong.values(), columns[name].is_null())
            faults |= fault(f"missing {name}", missing)
    good = pa.array([True] * len(batch), pa.bool_())
    for reason, mask in faults.items():
        rejected[reason] += pc.sum(pc.and_(mask, good)).as_py()
        good = pc.and_not(good, mask)
    return {name: column.filter(good) for name, column in columns.items()}


def _check_rows(field: str, rows: Rows, selection: Selection, max_reject_share: float) -> None:
    count = sum(rows.rejected.values())
    reasons = ", ".join(f"{number:,} {reason}" for reason, number in rows.rejected.most_common())
    if count > max_reject_share * (len(rows) + count):
        raise UserError(
            f"{field}: {count:,} of {len(rows) + count:,} rows rejected: {reasons}; mend them, or "
            f"raise max_reject_share above {max_reject_share:g}"
        )
    if not len(rows):
        fits = " and ".join(f"{column} = {value}" for column, value in selection.where.items())
        what = f"no row has {fits}" if fits else "holds no rows"
        raise UserError(f"{field}: {selection.source}: {what}; give a log with rows to measure")
