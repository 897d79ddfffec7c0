"""Reading Parquet: typed columns, whole files or some of their row groups."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from tfrec.data.formats.rows import BATCH_ROWS, FormatError, batches, check_header
from tfrec.data.formats.stream import open_file

_PIECE_ROWS = 1 << 20


class Piece(NamedTuple):
    """Row groups of a file that one worker reads.

    Attributes:
      groups: their numbers.
      line: number of their first row in the file, from 1.
    """

    groups: tuple[int, ...]
    line: int


def column_types(file: str) -> dict[str, pa.DataType]:
    """Reads the schema: name -> type."""
    with open_file(file) as stream:
        schema = pa.parquet.ParquetFile(stream).schema_arrow
    check_header(schema.names, ())
    return {field.name: _decoded(field.type) for field in schema}


def pieces(file: str) -> Iterator[Piece]:
    """Divides a file into pieces of about a million rows, as far as its row groups allow."""
    with open_file(file) as stream:
        metadata = pa.parquet.ParquetFile(stream).metadata
        rows = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
    first, line, count = 0, 1, 0
    for number, group_rows in enumerate(rows):
        count += group_rows
        if count >= _PIECE_ROWS or number == len(rows) - 1:
            yield Piece(tuple(range(first, number + 1)), line)
            first, line, count = number + 1, line + count, 0


def read(file: str, columns: Sequence[str], piece: Piece | None = None) -> Iterator[pa.RecordBatch]:
    """Reads columns as they are typed.

    Args:
      file: path of the file.
      columns: names of the columns.
      piece: which row groups to read; all of them by default.

    Yields:
      Batches; dictionaries are decoded. A row's line is its number in the file.

    Raises:
      FormatError: if the file has rows, but not every wanted column once, or rows are missing.
    """
    with open_file(file) as stream:
        content = pa.parquet.ParquetFile(stream)
        groups, line = piece or Piece(tuple(range(content.num_row_groups)), 1)
        rows = sum(content.metadata.row_group(group).num_rows for group in groups)
        if not rows:
            return
        check_header(content.schema_arrow.names, columns)
        end = line + rows
        for batch in content.iter_batches(BATCH_ROWS, groups, list(columns)):
            values = {name: _decode(batch, name) for name in columns}
            yield from batches(values, np.arange(line, line + len(batch)))
            line += len(batch)
    if line != end:
        # Arrow takes a damaged page for the last one.
        raise FormatError(f"should have {end - line:,} more rows")


def _decoded(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _decode(batch: pa.RecordBatch, name: str) -> pa.Array:
    column = batch.column(batch.schema.get_field_index(name))
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
