"""Finding and reading the files of a source, as Arrow record batches."""

from collections.abc import Iterator, Sequence

import apache_beam as beam
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from apache_beam.io.filesystems import FileSystems

from tfrec.data import datasets
from tfrec.errors import UserError

BATCH_ROWS = 65_536


def find_files(field: str, source: str) -> list[str]:
    """Lists the files of a source.

    Args:
      field: dotted name of the config's field, for messages.
      source: `dataset://NAME/TABLE`, or a path or glob on any file system that Beam knows.

    Returns:
      Paths, sorted.

    Raises:
      UserError: if nothing is there.
    """
    if source.startswith("dataset://"):
        name, _, table = source.removeprefix("dataset://").partition("/")
        return [str(datasets.fetch(name, table))]
    files = sorted(match.path for match in FileSystems.match([source])[0].metadata_list)
    if not files:
        raise UserError(f"{field}: {source!r}: no such file; give a path, a glob or dataset://...")
    return files


def column_types(field: str, files: Sequence[str]) -> dict[str, pa.DataType]:
    """Reads the names and types of the files' columns.

    Args:
      field: dotted name of the config's field, for messages.
      files: paths of Parquet or CSV files.

    Returns:
      Column name -> Arrow type, as in the first file.

    Raises:
      UserError: if a file cannot be read as what its name says, or lacks a column of the first.
    """
    first, *others = ((file, _column_types(field, file)) for file in files)
    for file, types in others:
        if missing := sorted(first[1].keys() - types.keys()):
            raise UserError(
                f"{field}: {file}: lacks {', '.join(missing)}, which {first[0]} has; "
                "give files of one header"
            )
    return first[1]


def _column_types(field: str, file: str) -> dict[str, pa.DataType]:
    try:
        schema = next(read_batches(file)).schema
    except StopIteration:
        raise UserError(f"{field}: {file}: holds no rows; leave it out") from None
    except (OSError, pa.ArrowInvalid) as error:
        raise UserError(f"{field}: {file}: cannot be read: {error}") from None
    return dict(zip(schema.names, schema.types, strict=True))


def read_batches(
    file: str, columns: Sequence[str] | None = None, text: Sequence[str] = ()
) -> Iterator[pa.RecordBatch]:
    """Reads a file in pieces, so that memory does not grow with its length.

    Args:
      file: path of a Parquet (`*.parquet`) or CSV file.
      columns: which columns to read; all of them by default.
      text: columns of a CSV file to take as they are written; the types of others are guessed.

    Yields:
      Record batches of at most `BATCH_ROWS` rows.
    """
    with FileSystems.open(file) as stream:
        if file.endswith(".parquet"):
            yield from pa.parquet.ParquetFile(stream).iter_batches(BATCH_ROWS, columns=columns)
        else:
            options = pa.csv.ConvertOptions(
                include_columns=columns, column_types=dict.fromkeys(text, pa.string())
            )
            yield from pa.csv.open_csv(stream, convert_options=options)


class ReadFiles(beam.PTransform):
    """Paths of files -> record batches of some of their columns."""

    def __init__(self, columns: Sequence[str], text: Sequence[str]) -> None:
        """Reads `columns` only, and those in `text` as they are written."""
        super().__init__()
        self._columns, self._text = list(columns), list(text)

    def expand(self, files: beam.PCollection) -> beam.PCollection:
        """Reads each file on one worker."""
        return files | beam.Reshuffle() | beam.FlatMap(read_batches, self._columns, text=self._text)
