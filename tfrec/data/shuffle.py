"""Arrow record batches on their way through a Beam shuffle."""

import contextlib
import tempfile
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from tfrec.data.engine import IN_MEMORY_RUNNER, BeamConfig

_OPTIONS = pa.ipc.IpcWriteOptions(compression="zstd")


def buckets_of(strings: pa.Array, buckets: int) -> np.ndarray:
    """Spreads strings over buckets by their hash, the same on every machine.

    Args:
      strings: `[rows]`, none of them null.
      buckets: how many.

    Returns:
      `[rows]` int64 in `[0, buckets)`.
    """
    distinct = strings.dictionary_encode()
    hashes = pd.util.hash_array(distinct.dictionary.to_numpy(False), categorize=False)
    return (hashes % np.uint64(buckets)).astype(np.int64)[distinct.indices.to_numpy()]


Piece = bytes | tuple[str, int, int]
"""A packed table, or the file that holds it, where it begins there, and its bytes."""


@contextlib.contextmanager
def spill_folder(config: BeamConfig, parent: Path) -> Iterator[Path | None]:
    """A folder for the pieces on their way, where the engine would hold them all in memory.

    Engines with workers of their own have a shuffle service that writes to disks; for them there
    is no folder, and pieces travel as they are.

    Args:
      config: the `data.beam` section.
      parent: directory to make the folder in, for as long as the context lasts.
    """
    if config.runner != IN_MEMORY_RUNNER:
        yield None
        return
    with tempfile.TemporaryDirectory(dir=parent, prefix=".shuffle-") as folder:
        yield Path(folder)


def by_bucket(
    batch: pa.RecordBatch, buckets: np.ndarray, spill: Path | None = None
) -> Iterator[tuple[int, Piece]]:
    """Cuts a batch into one packed piece per bucket.

    Args:
      batch: `[rows]`.
      buckets: `[rows]` numbers.
      spill: folder to write the pieces to.

    Yields:
      A bucket's number and its rows, in their order.
    """
    pieces = list(_cut(batch, buckets))
    if spill is None:
        yield from pieces
        return
    file = spill / uuid.uuid4().hex
    file.write_bytes(b"".join(piece for _, piece in pieces))
    start = 0
    for number, piece in pieces:
        yield number, (str(file), start, len(piece))
        start += len(piece)


def _cut(batch: pa.RecordBatch, buckets: np.ndarray) -> Iterator[tuple[int, bytes]]:
    order = np.argsort(buckets, kind="stable")
    numbers, starts = np.unique(buckets[order], return_index=True)
    rows = pa.Table.from_batches([batch]).take(pa.array(order)).combine_chunks()
    bounds = np.append(starts, len(order))
    for number, start, length in zip(numbers, starts, np.diff(bounds), strict=True):
        yield int(number), pack(rows.slice(start, length))


def pack(table: pa.Table) -> bytes:
    """Serialises a table, compressed: a shuffle may have to hold all of them at once."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=_OPTIONS) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def unpack(pieces: Iterable[Piece]) -> pa.Table:
    """Joins packed pieces to one table again."""
    tables = [pa.ipc.open_stream(_read(piece)).read_all().unify_dictionaries() for piece in pieces]
    return pa.concat_tables(tables).unify_dictionaries().combine_chunks()


def _read(piece: Piece) -> bytes:
    if isinstance(piece, bytes):
        return piece
    name, start, length = piece
    with Path(name).open("rb") as file:
        file.seek(start)
        return file.read(length)
