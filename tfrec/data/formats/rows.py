"""What every reader gives: record batches with line numbers, and the rows that do not fit."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

BATCH_ROWS = 65_536
LINE = "_line"

_SHOWN_CHARACTERS = 500


class FormatError(Exception):
    """A file cannot be read on; the message says why."""


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be read.

    Attributes:
      file: path of its file.
      line: its line in the file, or the number of its record, from 1.
      reason: why it cannot be read; one of a few.
      text: the row as far as it can be shown.
    """

    file: str
    line: int
    reason: str
    text: str


def bad_row(file: str, line: int, reason: str, content: bytes) -> BadRow:
    """Makes a bad row of the bytes that could not be read."""
    text = content[: 4 * _SHOWN_CHARACTERS].decode("utf-8", "replace").rstrip("\n")
    if len(text) > _SHOWN_CHARACTERS:
        text = text[:_SHOWN_CHARACTERS] + "..."
    return BadRow(file, line, reason, text)


def batches(
    columns: Mapping[str, pa.Array | pa.ChunkedArray], lines: np.ndarray
) -> Iterator[pa.RecordBatch]:
    """Cuts columns and their line numbers into batches of at most `BATCH_ROWS` rows.

    Args:
      columns: name -> `[rows]`.
      lines: `[rows]` int64.

    Yields:
      Batches of these columns in their order, and `LINE` behind them; none is empty.
    """
    arrays = [_one_array(column) for column in columns.values()]
    whole = pa.RecordBatch.from_arrays([*arrays, pa.array(lines, pa.int64())], [*columns, LINE])
    for start in range(0, len(lines), BATCH_ROWS):
        yield whole.slice(start, BATCH_ROWS)


def check_header(names: Sequence[str], wanted: Sequence[str]) -> None:
    """Checks that a file has each wanted column, and no two of one name.

    Raises:
      FormatError: if it does not.
    """
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise FormatError(f"has more than one column named {', '.join(map(repr, repeated))}")
    if missing := [name for name in wanted if name not in names]:
        raise FormatError(f"lacks {', '.join(missing)}; its columns are {', '.join(names)}")


def mixed_column(values: Sequence[Any]) -> pa.Array:
    """Makes a column of Python values that may be of several types; if they are, it is text.

    Args:
      values: `[rows]` None, strings, bytes, numbers, booleans, or lists of these.

    Returns:
      `[rows]` of the values' one type; else strings, or lists of strings if one value is a list.
    """
    try:
        column = pa.array(values)
    except (pa.ArrowException, OverflowError):
        if any(isinstance(value, list) for value in values):
            return pa.array([_texts(value) for value in values])
        return pa.array(map(_text, values))
    return column.cast(pa.string()) if pa.types.is_null(column.type) else column


def _one_array(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    if isinstance(column, pa.Array):
        return column
    if column.num_chunks == 1:
        return column.chunk(0)
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def _texts(value: Any) -> list[str | bytes | None] | None:
    if value is None:
        return None
    return [_text(member) for member in value] if isinstance(value, list) else [_text(value)]


def _text(value: Any) -> str | bytes | None:
    if value is None or isinstance(value, (str, bytes)):
        return value
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).lower() if isinstance(value, bool) else str(value)
