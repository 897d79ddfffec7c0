"""Delimited text of known columns, read in pieces."""

import io
from collections.abc import Iterator, Mapping

import pyarrow as pa
import pyarrow.csv

from tfrec.data.datasets.source_file import SourceFile

_BLOCK_BYTES = 1 << 22


def read_delimited(
    file: SourceFile,
    types: Mapping[str, pa.DataType],
    *,
    delimiter: str = ",",
    header: bool = True,
    quoted: bool = True,
    encoding: str = "utf8",
    time_format: str | None = None,
) -> Iterator[pa.Table]:
    """Reads columns of known types; an empty value is null.

    Args:
      file: where they are.
      types: name as published -> type. Without a header, these are all columns in their order.
      delimiter: what separates them; a file with one of several characters is read whole.
      header: whether the first line names the columns.
      quoted: whether values may stand in double quotes.
      encoding: of the text.
      time_format: how timestamps are written, where that is not ISO 8601.

    Yields:
      Tables of those columns, of about 4 MB of text each.

    Raises:
      UserError: if a column is missing or a row does not fit; the message has file and row.
    """
    formats = [pa.csv.ISO8601, *([time_format] if time_format else [])]
    with file.open() as stream:
        if len(delimiter) > 1:
            # Arrow separates columns by one byte.
            stream = io.BytesIO(stream.read().replace(delimiter.encode(), b"\t"))
            delimiter = "\t"
        yield from map(
            _to_table,
            pa.csv.open_csv(
                stream,
                # Only without threads do messages have the number of the row.
                read_options=pa.csv.ReadOptions(
                    use_threads=False,
                    block_size=_BLOCK_BYTES,
                    column_names=None if header else list(types),
                    encoding=encoding,
                ),
                parse_options=pa.csv.ParseOptions(
                    delimiter=delimiter, quote_char='"' if quoted else False
                ),
                convert_options=pa.csv.ConvertOptions(
                    column_types=types,
                    include_columns=list(types),
                    null_values=[""],
                    strings_can_be_null=True,
                    timestamp_parsers=formats,
                ),
            ),
        )


def _to_table(batch: pa.RecordBatch) -> pa.Table:
    return pa.Table.from_batches([batch])
