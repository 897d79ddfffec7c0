"""Finding the files of a source, and reading them as Arrow record batches without losing a row."""

import contextlib
import logging
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam.io.filesystem import BeamIOError, FileMetadata
from apache_beam.io.filesystems import FileSystems

from tfrec.data import datasets
from tfrec.data.formats import delimited, json_lines, parquet, tfrecord
from tfrec.data.formats.rows import BATCH_ROWS, LINE, BadRow, FormatError
from tfrec.errors import UserError

__all__ = [
    "BAD_ROWS", "BATCH_ROWS", "FILE", "LINE", "UNREADABLE",
    "BadRow", "ReadFiles", "UnreadableFile", "column_types", "find_files", "read_rows",
]  # fmt: skip

FILE = "_file"
BAD_ROWS = "bad_rows"
UNREADABLE = "unreadable"

_log = logging.getLogger(__name__)


class UnreadableFile(UserError):  # noqa: N818
    """A file that cannot be read to its end, or not at all."""


class _Format(NamedTuple):
    """How files of one suffix are read.

    Attributes:
      column_types: file -> its columns' names and types, from its head.
      read: file, columns -> batches and bad rows.
      has_header: whether a file says its columns itself; if not, a row may lack some.
    """

    column_types: Callable[[str], dict[str, pa.DataType]]
    read: Callable[..., Iterator[pa.RecordBatch | BadRow]]
    has_header: bool


def _delimited(delimiter: str) -> _Format:
    return _Format(
        partial(delimited.column_types, delimiter=delimiter),
        partial(delimited.read, delimiter=delimiter),
        has_header=True,
    )


_PARQUET = _Format(parquet.column_types, parquet.read, has_header=True)
_JSON_LINES = _Format(json_lines.column_types, json_lines.read, has_header=False)
_TFRECORD = _Format(tfrecord.column_types, tfrecord.read, has_header=False)
_MAY_BE_GZIPPED = {
    ".csv": _delimited(","),
    ".tsv": _delimited("\t"),
    ".jsonl": _JSON_LINES,
    ".json": _JSON_LINES,
    ".tfrecord": _TFRECORD,
}
_FORMATS = {
    ".parquet": _PARQUET,
    **_MAY_BE_GZIPPED,
    **{f"{suffix}.gz": kind for suffix, kind in _MAY_BE_GZIPPED.items()},
}
_DAMAGE = (FormatError, pa.ArrowException, OSError, EOFError, zlib.error, BeamIOError)


def find_files(field: str, source: str | Sequence[str]) -> list[str]:
    """Lists the files of a source.

    Args:
      field: dotted name of the config's field, for messages.
      source: `dataset://NAME/TABLE`, or a path, a glob or a directory on any file system that Beam
        knows, or several of these. A directory stands for all data files under it; what begins
        with a dot or an underscore is left out.

    Returns:
      Distinct paths, sorted. Files of no bytes are left out with a warning.

    Raises:
      UserError: if nothing is there, or a file's suffix does not tell how to read it.
    """
    sources = [source] if isinstance(source, str) else source
    found = {file.path: file for one in sources for file in _find(field, one)}
    if not found:
        raise UserError(f"{field}: names no file; give a path, a glob or dataset://...")
    empty = sorted(path for path, file in found.items() if file.size_in_bytes == 0)
    if len(empty) == len(found):
        raise UserError(f"{field}: {source!r}: all files are empty; give files with rows")
    for path in empty:
        _log.warning("%s: %s: is empty and left out", field, path)
    return sorted(found.keys() - empty)


def column_types(field: str, files: Sequence[str]) -> dict[str, pa.DataType]:
    """Reads the names and types of the files' columns from the heads of the files.

    Args:
      field: dotted name of the config's field, for messages.
      files: paths, as `find_files` gives them.

    Returns:
      Column name -> Arrow type in the first file that has rows: string in text files, list types
      in TFRecords. Files without rows are passed over with a warning.

    Raises:
      UserError: if no file has a row, one cannot be read, or one lacks a column of the first.
    """
    heads = {file: types for file in files if (types := _head(field, file))}
    if not heads:
        raise UserError(f"{field}: {', '.join(files)}: no file holds rows; give files with rows")
    (first, expected), *others = heads.items()
    for file, types in others:
        if missing := ", ".join(sorted(expected.keys() - types.keys())):
            if _format(file).has_header:
                raise UserError(
                    f"{field}: {file}: lacks {missing}, which {first} has; give files of one header"
                )
            _log.warning(
                "%s: the first rows of %s lack %s, which %s has", field, file, missing, first
            )
    return expected


def read_rows(file: str, columns: Sequence[str]) -> Iterator[pa.RecordBatch | BadRow]:
    """Reads a file in pieces, so that memory does not grow with its length.

    Args:
      file: path of a file, as `find_files` gives it.
      columns: names of the columns to read.

    Yields:
      Batches of at most `BATCH_ROWS` rows that have these columns in this order and then `LINE`:
      the line of text on which a row begins, or the number of the row or record, from 1. Values of
      CSV and TSV files are text; others have the types that they have in this part of the file.
      And each row that cannot be read.

    Raises:
      UnreadableFile: if the file cannot be read to its end; rows before that have been given.
    """
    yield from _read(file, columns, None)


class ReadFiles(beam.PTransform):
    """Paths of files -> their rows.

    The main output has the batches of `read_rows` with a further column `FILE`, `BAD_ROWS` the rows
    that cannot be read, and `UNREADABLE` a message for each file that cannot be read to its end.
    Large Parquet files are read by several workers, each other file by one.
    """

    def __init__(self, columns: Sequence[str]) -> None:
        """Reads `columns` only."""
        super().__init__()
        self._columns = list(columns)

    def expand(self, files: beam.PCollection) -> Any:
        """Divides the files into pieces and reads each on one worker."""
        return (
            files
            | "Divide" >> beam.FlatMap(_divide)
            | beam.Reshuffle()
            | "Read" >> beam.FlatMap(_read_tagged, self._columns).with_outputs(BAD_ROWS, UNREADABLE)
        )


def _find(field: str, source: str) -> list[FileMetadata]:
    if source.startswith("dataset://"):
        name, _, table = source.removeprefix("dataset://").partition("/")
        return _match(field, str(datasets.fetch(name, table)))
    if source.endswith("/") or Path(source).is_dir():
        files = _data_files(field, source)
        if not files:
            raise UserError(f"{field}: {source!r}: holds no data files ({_known_suffixes()})")
        return files
    # An object store has no directories, only paths that begin alike.
    files = _match(field, source) or _data_files(field, source)
    if not files:
        raise UserError(f"{field}: {source!r}: no such file; give a path, a glob or dataset://...")
    for file in files:
        if _format_of(file.path) is None:
            raise UserError(
                f"{field}: {file.path}: unknown kind of file; give one that ends in "
                f"{_known_suffixes()}"
            )
    return files


def _match(field: str, pattern: str) -> list[FileMetadata]:
    try:
        return FileSystems.match([pattern])[0].metadata_list
    except (ValueError, BeamIOError) as error:
        raise UserError(f"{field}: {pattern!r}: cannot be listed: {error}") from None


def _data_files(field: str, directory: str) -> list[FileMetadata]:
    root = directory.rstrip("/") + "/"
    return [
        file
        for file in _match(field, f"{root}**")
        if _format_of(file.path)
        and not any(part.startswith((".", "_")) for part in file.path.removeprefix(root).split("/"))
    ]


def _format_of(file: str) -> _Format | None:
    name = file.lower()
    return next((kind for suffix, kind in _FORMATS.items() if name.endswith(suffix)), None)


def _format(file: str) -> _Format:
    if (kind := _format_of(file)) is None:
        raise UnreadableFile(f"{file}: unknown kind of file; known: {_known_suffixes()}")
    return kind


def _known_suffixes() -> str:
    return ", ".join(_FORMATS)


def _head(field: str, file: str) -> dict[str, pa.DataType]:
    """The columns of a file; none, and a warning, if it has no rows."""
    try:
        types = _format(file).column_types(file)
        if next(read_rows(file, list(types)), None) is not None:
            return types
    except UnreadableFile as error:
        raise UserError(f"{field}: {error}") from None
    except _DAMAGE as error:
        raise UserError(f"{field}: {_unreadable(file, 0, error)}") from None
    _log.warning("%s: %s: holds no rows", field, file)
    return {}


def _read(
    file: str, columns: Sequence[str], piece: parquet.Piece | None
) -> Iterator[pa.RecordBatch | BadRow]:
    rows = piece.line - 1 if piece else 0
    options = {"piece": piece} if piece else {}
    try:
        for found in _format(file).read(file, columns, **options):
            rows += 1 if isinstance(found, BadRow) else found.num_rows
            yield found
    except _DAMAGE as error:
        raise _unreadable(file, rows, error) from None


def _unreadable(file: str, rows: int, error: Exception) -> UnreadableFile:
    reason = " ".join(str(error).split()) or type(error).__name__
    return UnreadableFile(
        f"{file}: cannot be read after {rows:,} rows: {reason:.300}; mend the file or leave it out"
    )


def _divide(file: str) -> Iterator[tuple[str, parquet.Piece | None]]:
    pieces: list[parquet.Piece | None] = []
    if _format(file) is _PARQUET:
        # A file whose end is damaged has no pieces; reading it says so.
        with contextlib.suppress(*_DAMAGE):
            pieces += parquet.pieces(file)
    yield from ((file, piece) for piece in pieces or [None])


def _read_tagged(
    place: tuple[str, parquet.Piece | None], columns: list[str]
) -> Iterator[pa.RecordBatch | beam.pvalue.TaggedOutput]:
    file, piece = place
    try:
        for found in _read(file, columns, piece):
            if isinstance(found, BadRow):
                yield beam.pvalue.TaggedOutput(BAD_ROWS, found)
            else:
                yield _with_file(found, file)
    except UnreadableFile as error:
        yield beam.pvalue.TaggedOutput(UNREADABLE, str(error))


def _with_file(batch: pa.RecordBatch, file: str) -> pa.RecordBatch:
    codes = pa.array(np.zeros(len(batch), np.int32))
    column = pa.DictionaryArray.from_arrays(codes, pa.array([file]))
    return pa.RecordBatch.from_arrays([*batch.columns, column], [*batch.schema.names, FILE])
