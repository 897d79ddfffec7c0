"""Arrow record batches on their way through a Beam shuffle."""

from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd
import pyarrow as pa

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


def by_bucket(batch: pa.RecordBatch, buckets: np.ndarray) -> Iterator[tuple[int, bytes]]:
    """Cuts a batch into one packed piece per bucket.

    Args:
      batch: `[rows]`.
      buckets: `[rows]` numbers.

    Yields:
      A bucket's number and its rows, in their order.
    """
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


def unpack(pieces: Iterable[bytes]) -> pa.Table:
    """Joins packed pieces to one table again."""
    tables = [pa.ipc.open_stream(piece).read_all().unify_dictionaries() for piece in pieces]
    return pa.concat_tables(tables).unify_dictionaries().combine_chunks()
