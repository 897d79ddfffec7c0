"""The first rows of a source, in memory."""

from collections.abc import Iterator, Sequence

import pyarrow as pa

from tfrec.data.sources import BadRow, read_rows
from tfrec.data.values import to_strings


def read_sample(files: Sequence[str], columns: Sequence[str], rows: int | None) -> pa.Table:
    """Reads rows from the beginning of each file, an equal number of each.

    Args:
      files: paths, as `find_files` gives them.
      columns: names of the columns to read.
      rows: the most rows to read in all; None reads every one.

    Returns:
      The rows that can be read, without those that cannot. A column has its own type, or string
      where parts of the data differ in it.
    """
    most = None if rows is None else -(-rows // len(files))
    batches = [batch for file in files for batch in _first(file, columns, most)]
    whole = pa.table({name: _join([batch[name] for batch in batches]) for name in columns})
    return whole if rows is None else whole.slice(0, rows)


def _first(file: str, columns: Sequence[str], rows: int | None) -> Iterator[dict[str, pa.Array]]:
    read = 0
    for batch in read_rows(file, columns):
        if rows is not None and read >= rows:
            return
        if not isinstance(batch, BadRow):
            batch = batch if rows is None else batch.slice(0, rows - read)
            read += len(batch)
            # The last column is the line's number.
            yield dict(zip(columns, batch.columns[: len(columns)], strict=True))


def _join(parts: list[pa.Array]) -> pa.ChunkedArray:
    """Makes one column of parts, which are text where a part's type is another one."""
    kinds = {part.type for part in parts if not pa.types.is_null(part.type)}
    if not kinds:
        return pa.chunked_array([part.cast(pa.string()) for part in parts], pa.string())
    if len(kinds) == 1:
        (kind,) = kinds
        return pa.chunked_array([part.cast(kind) for part in parts], kind)
    return pa.chunked_array([to_strings(part)[0] for part in parts], pa.string())
