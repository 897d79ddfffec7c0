"""Cleaned events: every accepted row of the log, grouped by shopper and ordered in time."""

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from tfrec.data import beam as beams
from tfrec.data.catalogue import Catalogue, column_of, to_strings
from tfrec.data.config import DataConfig, Events
from tfrec.data.prepared import PreparedData
from tfrec.data.sources import ReadFiles
from tfrec.data.split import Window
from tfrec.errors import UserError
from tfrec.features.parsing import ITEM_ROW, TIME

USER = "_user"


def prepare_events(
    config: DataConfig, features: Sequence[str], files: Sequence[str], output: PreparedData
) -> beams.Counts:
    """Cleans the event log into files that each hold whole shoppers.

    A file has the columns `_user` (string), `_item_row` (int64 row of the catalogue), `_time`
    (int64 seconds since 1970) and the event's own features (strings), sorted by these three.
    Rows without a user, item or time, and rows of items outside the catalogue, are rejected.

    Args:
      config: the `data` section.
      features: columns to keep besides user, item and time.
      files: the log's files.
      output: holds the catalogue; the events and the rejected rows go there too.

    Returns:
      Rows read and rejected.
    """
    log = config.events
    columns = list(dict.fromkeys([log.user, log.item, log.time, *features]))
    output.events.mkdir()

    def build(pipeline: beam.Pipeline) -> None:
        checked = (
            pipeline
            | beam.Create(files, reshuffle=False)
            | ReadFiles(columns, text=[name for name in columns if name != log.time])
            | beam.ParDo(_Check(log, output.catalogue)).with_outputs(beams.REJECTED, main="events")
        )
        beams.write_rejects(checked[beams.REJECTED], output.rejects, "events")
        _ = (
            checked["events"]
            | beam.FlatMap(_to_shards, log, features, config.shards)
            | beam.GroupByKey()
            | beam.Map(_write, output.events, config.shards)
        )

    return beams.run(config.runner, build)


def check_time_type(config: Events, types: Mapping[str, pa.DataType]) -> None:
    """Refuses a log whose times are neither timestamps nor whole numbers.

    Args:
      config: the `data.events` section.
      types: column name -> Arrow type.

    Raises:
      UserError: if they are something else.
    """
    kind = types[config.time]
    if not (pa.types.is_timestamp(kind) or pa.types.is_integer(kind)):
        raise UserError(
            f"data.events.time: column {config.time!r} holds values of type {kind}; "
            "give timestamps, or whole seconds since 1970"
        )


def first_and_last(folder: Path) -> tuple[int, int]:
    """Finds the times of the first and the last event, in seconds since 1970.

    The files' statistics tell; no row is read.

    Raises:
      UserError: if there is no event.
    """
    moments = []
    for file in folder.glob("*.parquet"):
        metadata = pa.parquet.read_metadata(file)
        column = metadata.schema.names.index(TIME)
        for group in range(metadata.num_row_groups):
            statistics = metadata.row_group(group).column(column).statistics
            moments += [statistics.min, statistics.max]
    if not moments:
        raise UserError("data.events: every row was rejected; rejects/ says why")
    return min(moments), max(moments)


def item_counts(folder: Path, window: Window, items: int) -> np.ndarray:
    """Counts each item's events in a stretch of time.

    Args:
      folder: the directory that `prepare_events` wrote.
      window: the stretch of time.
      items: rows of the catalogue.

    Returns:
      `[items]` int64.
    """
    within = [(TIME, ">=", window.start), (TIME, "<", window.end)]
    rows = pa.parquet.read_table(folder, columns=[ITEM_ROW], filters=within)[ITEM_ROW]
    return np.bincount(rows.to_numpy(), minlength=items)


class _Check(beam.DoFn):
    """Rejects rows that lack an id or a time, or whose item is not in the catalogue."""

    def __init__(self, config: Events, catalogue: Path) -> None:
        self._config = config
        self._path = catalogue

    def setup(self) -> None:
        self._catalogue = Catalogue(self._path)

    def process(self, batch: pa.RecordBatch) -> Iterator[object]:
        users = to_strings(column_of(batch, self._config.user))
        items = to_strings(column_of(batch, self._config.item))
        rows = self._catalogue.rows(items)
        faults = {
            "missing user": users.is_null(),
            "missing item": items.is_null(),
            "missing time": column_of(batch, self._config.time).is_null(),
            "item not in the catalogue": pa.array(rows < 0),
        }
        names, columns = [*batch.schema.names, ITEM_ROW], [*batch.columns, pa.array(rows)]
        yield from beams.accept(pa.RecordBatch.from_arrays(columns, names), faults)


def _to_shards(
    batch: pa.RecordBatch, config: Events, features: Sequence[str], shards: int
) -> Iterator[tuple[int, pa.RecordBatch]]:
    users = to_strings(column_of(batch, config.user))
    rows, times = column_of(batch, ITEM_ROW), _seconds(column_of(batch, config.time))
    kept = [to_strings(column_of(batch, feature)) for feature in features]
    names = [USER, ITEM_ROW, TIME, *features]
    cleaned = pa.RecordBatch.from_arrays([users, rows, times, *kept], names)
    distinct = users.dictionary_encode()
    shard_of = np.array([zlib.crc32(u.encode()) % shards for u in distinct.dictionary.to_pylist()])
    shard = shard_of[distinct.indices.to_numpy()]
    for number in np.unique(shard).tolist():
        yield number, cleaned.filter(pa.array(shard == number))


def _seconds(time: pa.Array) -> pa.Array:
    """Seconds since 1970 as int64, from timestamps of any unit or from whole numbers."""
    if pa.types.is_timestamp(time.type):
        time = time.cast(pa.timestamp("s"), safe=False)
    return time.cast(pa.int64())


def _write(group: tuple[int, Iterable[pa.RecordBatch]], folder: Path, shards: int) -> None:
    shard, parts = group
    table = pa.Table.from_batches(parts)
    keys = [(USER, "ascending"), (TIME, "ascending"), (ITEM_ROW, "ascending")]
    table = table.take(pc.sort_indices(table, sort_keys=keys))
    file = folder / f"events-{shard:05d}-of-{shards:05d}.parquet"
    scratch = file.with_suffix(".tmp")
    pa.parquet.write_table(table, scratch)
    scratch.rename(file)
