"""Reading JSON lines: one object on each line."""

import contextlib
import io
import json
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json

from tfrec.data.formats.rows import BadRow, FormatError, bad_row, batches, mixed_column
from tfrec.data.formats.stream import is_utf8, read_lines

_SAMPLE_LINES = 200
# Arrow refuses more than 100,000 rows at once.
_PARSED_BYTES = 1 << 19
_EXACT_IN_DOUBLE = 2.0**53


def column_types(file: str) -> dict[str, pa.DataType]:
    """Reads the keys of the first objects: name -> string."""
    for block in read_lines(file):
        return dict.fromkeys((key for row in _sample(block) for key in row), pa.string())
    return {}


def read(file: str, columns: Sequence[str]) -> Iterator[pa.RecordBatch | BadRow]:
    """Reads values of objects by their keys.

    Args:
      file: path of the file.
      columns: the keys.

    Yields:
      Batches of strings, numbers, booleans or lists of them, as they are in this part of the file;
      text where they are mixed; null where an object lacks the key. And the lines that hold no
      object, or a wanted value that is itself an object or a list of lists. Empty lines are
      skipped.

    Raises:
      FormatError: if the file is one JSON array.
    """
    line = 1
    for block in read_lines(file):
        if line == 1 and block.lstrip().startswith(b"["):
            raise FormatError("is one JSON array; write one object on each line (jq -c '.[]')")
        count = block.count(b"\n")
        if (table := _parse_block(block, count, columns)) is not None:
            yield from batches(table, np.arange(line, line + count))
        else:
            yield from _read_each_line(file, line, block, columns)
        line += count


def _parse_block(
    block: bytes, count: int, columns: Sequence[str]
) -> dict[str, pa.ChunkedArray] | None:
    """Lets Arrow parse all lines; None if they have to be looked at one by one."""
    sample = _sample(block)
    types = {name: _type_of([row.get(name) for row in sample]) for name in columns}
    if None in types.values() or not is_utf8(block):
        return None
    try:
        table = pa.json.read_json(
            pa.BufferReader(block),
            pa.json.ReadOptions(use_threads=False, block_size=_PARSED_BYTES),
            pa.json.ParseOptions(pa.schema(types), unexpected_field_behavior="ignore"),
        )
    except pa.ArrowInvalid:
        return None
    whole = len(table) == count and all(map(_is_exact, table.columns))
    return {name: table[name] for name in columns} if whole else None


def _read_each_line(
    file: str, line: int, block: bytes, columns: Sequence[str]
) -> Iterator[pa.RecordBatch | BadRow]:
    rows, lines = [], []
    for number, content in enumerate(block.splitlines(), line):
        if not content.strip():
            continue
        try:
            row = _parse_line(content)
            rows.append([_plain(row.get(name)) for name in columns])
            lines.append(number)
        except _BadLineError as error:
            yield bad_row(file, number, str(error), content)
    values = zip(*rows, strict=True) if rows else ([] for _ in columns)
    table = dict(zip(columns, map(mixed_column, values), strict=True))
    yield from batches(table, np.array(lines, np.int64))


class _BadLineError(Exception):
    """Why a line cannot be read."""


def _parse_line(content: bytes) -> dict[str, Any]:
    try:
        row = json.loads(content.decode())
    except UnicodeDecodeError:
        raise _BadLineError("invalid UTF-8") from None
    except (ValueError, RecursionError):
        raise _BadLineError("not valid JSON") from None
    if not isinstance(row, dict):
        raise _BadLineError("not a JSON object")
    return row


def _plain(value: Any) -> Any:
    """Returns a value that a column can hold."""
    members = value if isinstance(value, list) else [value]
    if any(isinstance(member, (dict, list)) for member in members):
        raise _BadLineError("nested value")
    if any(isinstance(member, str) and not _is_text(member) for member in members):
        raise _BadLineError("invalid UTF-8")
    return value


def _is_text(value: str) -> bool:
    """Whether it has no half of a surrogate pair, which JSON can write as an escape."""
    return value.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in value)


def _sample(block: bytes) -> list[dict[str, Any]]:
    """The objects of the first lines."""
    rows = []
    for content in islice(io.BytesIO(block), _SAMPLE_LINES):
        with contextlib.suppress(_BadLineError):
            rows.append(_parse_line(content))
    return rows


def _type_of(values: Sequence[Any]) -> pa.DataType | None:
    """The type of a column as Arrow's parser should take it; None if it cannot."""
    try:
        kind = mixed_column([_plain(value) for value in values]).type
    except _BadLineError:
        return None
    return pa.list_(pa.string()) if kind == pa.list_(pa.null()) else kind


def _is_exact(column: pa.ChunkedArray) -> bool:
    """Whether no number is so large that Arrow may have rounded it."""
    if pa.types.is_list(column.type):
        column = pc.list_flatten(column)
    if not pa.types.is_floating(column.type):
        return True
    return not pc.any(pc.greater_equal(pc.abs(column), _EXACT_IN_DOUBLE)).as_py()
