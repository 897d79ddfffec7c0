"""Files of one JSON object a line, read in pieces."""

from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pyarrow as pa

from tfrec.data.datasets.source_file import SourceFile
from tfrec.errors import UserError

_PIECE_ROWS = 65_536


def read_json_lines(
    file: SourceFile, to_row: Callable[[dict[str, Any]], dict[str, Any]], schema: pa.Schema
) -> Iterator[pa.Table]:
    """Reads a file whose fields change their type from line to line, which Arrow's reader refuses.

    Args:
      file: where the lines are.
      to_row: makes a row of a line's object; it may fail with a KeyError, TypeError or ValueError.
      schema: of the rows.

    Yields:
      Tables of at most 65,536 rows.

    Raises:
      UserError: if a line is no such object; the message has file and line.
    """
    rows = []
    with file.open() as lines:
        for number, line in enumerate(lines, 1):
            try:
                rows.append(to_row(orjson.loads(line)))
            except KeyError as error:
                raise UserError(f"{file}: line {number}: lacks {error}") from None
            except (AttributeError, TypeError, ValueError) as error:
                raise UserError(f"{file}: line {number}: {error}") from None
            if len(rows) == _PIECE_ROWS:
                yield pa.Table.from_pylist(rows, schema)
                rows = []
    if rows:
        yield pa.Table.from_pylist(rows, schema)
