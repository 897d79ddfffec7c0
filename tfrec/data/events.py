"""Cleaned events: every accepted row of the logs, grouped by shopper and ordered in time."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from pathlib import Path

import apache_beam as beam
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from tfrec.data import beam as beams
from tfrec.data import counts
from tfrec.data.casting import cast_feature, prefixed
from tfrec.data.catalogue import Catalogue
from tfrec.data.config import Cleaning, DataConfig, Log
from tfrec.data.core import core, kept
from tfrec.data.erased import Erased
from tfrec.data.prepared import PreparedData
from tfrec.data.promotions import MATCH, JoinPromotions
from tfrec.data.robots import robots
from tfrec.data.shuffle import Piece, buckets_of, by_bucket, spill_folder, unpack
from tfrec.data.sources import BAD_ROWS, FILE, LINE, UNREADABLE, ReadFiles
from tfrec.data.times import to_seconds
from tfrec.data.values import Faults, to_strings
from tfrec.errors import UserError
from tfrec.features import Feature
from tfrec.features.parsing import ITEM_ROW, TIME

USER = "_user"
TYPE = "_type"
PART = "_part"
_REJECT = partial(beam.pvalue.TaggedOutput, counts.REJECTED)


@dataclass(frozen=True)
class LogFiles:
    """The files of one log.

    Attributes:
      log: its section of the config.
      paths: where they are.
      columns: names of their columns.
      part: the part of the data they are, where a split by files says so.
    """

    log: Log
    paths: Sequence[str]
    columns: Collection[str]
    part: str | None = None


def prepare_events(
    config: DataConfig,
    features: Mapping[str, Feature],
    logs: Sequence[LogFiles],
    promoted: Mapping[str, Feature],
    shards: int,
    output: PreparedData,
) -> counts.Counts:
    """Cleans the event logs into files that each hold whole shoppers.

    A file has the columns `_user` (string), `_time` (int64 seconds since 1970), `_item_row` (int64
    row of the catalogue), `_type`, `_part` (null but for a split by files) and the event's own
    features, sorted by shopper and time; events of one time stand as in the logs, by file name and
    line. Rows without a user, item or time, rows of items outside
    the catalogue and rows with a value that cannot be right are rejected; `data.clean` says which
    others are dropped.

    Args:
      config: the `data` section.
      features: the features that are columns of the logs.
      logs: the logs' files.
      promoted: the features that are columns of the promotions, which `output` holds.
      shards: how many files to write.
      output: holds the catalogue; the events and the rejected rows go there too.

    Returns:
      Rows read, rejected and dropped.
    """
    output.events.mkdir()
    match = config.promotions.match if config.promotions and promoted else ()

    def build(pipeline: beam.Pipeline, spill: Path | None) -> None:
        events, rejected, unreadable = [], [], []
        for number, files in enumerate(logs):
            check = _Check(files, features, match, config.clean, output.catalogue)
            read = (
                pipeline
                | f"Files {number}" >> beam.Create(list(files.paths), reshuffle=False)
                | f"Read {number}" >> ReadFiles(check.columns)
            )
            checked = read[None] | f"Check {number}" >> beam.ParDo(check).with_outputs(
                counts.REJECTED, main="events"
            )
            unread = read[BAD_ROWS] | f"Unread {number}" >> beam.Map(counts.reject_unread)
            events.append(checked["events"])
            rejected += [checked[counts.REJECTED], unread]
            unreadable.append(read[UNREADABLE])
        if promoted:
            together = events | "All events" >> beam.Flatten()
            events = [together | JoinPromotions(promoted, output.promotions, spill)]
        # Cut before they are joined: a runner may hold what goes into a Flatten.
        pieces = [
            cleaned | f"To shards {number}" >> beam.FlatMap(_to_shards, shards, spill)
            for number, cleaned in enumerate(events)
        ]
        _ = (
            pieces
            | "All pieces" >> beam.Flatten()
            | beam.GroupByKey()
            | beam.Map(_write_shard, config.clean, output.events, shards)
        )
        for name, lines in (("events.jsonl", rejected), ("unreadable-events.txt", unreadable)):
            beams.write_lines(lines | f"All {name}" >> beam.Flatten(), output.rejects, name)

    with spill_folder(config.beam, output.path) as spill:
        result = beams.run(config.beam, lambda pipeline: build(pipeline, spill))
    beams.check_readable(output.rejects)
    return result


def apply_minimums(config: DataConfig, items: int, output: PreparedData) -> counts.Counts:
    """Drops events of shoppers and items that have too few, as `data.clean` says.

    Args:
      config: the `data` section.
      items: rows of the catalogue.
      output: holds the events, whose files are written anew.

    Returns:
      Rows dropped.
    """
    clean = config.clean
    if clean.min_user_events == clean.min_item_events == 1:
        return counts.Counts()
    files = event_files(output.events)
    item_ok, _ = core(
        lambda: map(_users_and_items, files),
        items,
        clean.min_user_events,
        clean.min_item_events,
        clean.k_core,
    )

    def build(pipeline: beam.Pipeline) -> None:
        _ = (
            pipeline
            | beam.Create(files, reshuffle=False)
            | beam.Reshuffle()
            | beam.Map(_keep_core, item_ok, clean.min_user_events)
        )

    return beams.run(config.beam, build)


def event_files(folder: Path) -> list[Path]:
    """The files of cleaned events, in order."""
    return sorted(folder.glob("*.parquet"))


def first_and_last(folder: Path) -> tuple[int, int]:
    """Finds the times of the first and the last event, in seconds since 1970.

    The files' statistics tell; no row is read.

    Raises:
      UserError: if there is no event.
    """
    moments = []
    for file in event_files(folder):
        metadata = pa.parquet.read_metadata(file)
        column = metadata.schema.names.index(TIME)
        for group in range(metadata.num_row_groups):
            statistics = metadata.row_group(group).column(column).statistics
            moments += [statistics.min, statistics.max]
    if not moments:
        raise UserError("data.events: no event is left; rejects/ and data.clean say why")
    return min(moments), max(moments)


class _Check(beam.DoFn):
    """Raw rows of one log -> rows of the events' types; rejects what cannot be right."""

    def __init__(
        self,
        files: LogFiles,
        features: Mapping[str, Feature],
        match: Sequence[str],
        clean: Cleaning,
        catalogue: Path,
    ) -> None:
        log = files.log
        self._log, self._part = log, files.part
        self._features = dict(features)
        self._column = {
            name: column
            for name in features
            if (column := log.columns.get(name, name)) in files.columns
        }
        self._match, self._clean, self._path = match, clean, catalogue
        self._erased = Erased.read(clean.erased) if clean.erased else Erased.nobody()
        named = [log.user, log.item, log.time, log.type_column, *match]
        named += self._column.values()
        self.columns = list(dict.fromkeys(name for name in named if name))

    def setup(self) -> None:
        self._catalogue = Catalogue(self._path)

    def process(self, batch: pa.RecordBatch) -> Iterator[object]:
        counts.read(len(batch))
        # First of all, so that no rejected row of an erased shopper is written down.
        batch = self._without_erased(batch)
        columns, faults = self._ids_and_times(batch)
        for name, feature in self._features.items():
            columns[name], wrong = self._cast(name, feature, batch)
            faults |= wrong
        columns |= {MATCH + name: to_strings(batch[name])[0] for name in self._match}
        columns |= {FILE: batch[FILE], LINE: batch[LINE]}
        good, lines = counts.reject(batch, faults)
        yield from map(_REJECT, lines)
        rows = pa.RecordBatch.from_arrays(list(columns.values()), list(columns)).filter(good)
        yield _in_range(rows, self._clean)

    def _without_erased(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        if not len(self._erased):
            return batch
        log = self._log
        users, _ = to_strings(batch[log.user])
        times, _ = to_seconds(batch[log.time], log.unit, log.format)
        rest = batch.filter(pc.invert(self._erased.covers(users, times)))
        counts.drop("erased", len(batch) - len(rest))
        return rest

    def _ids_and_times(self, batch: pa.RecordBatch) -> tuple[dict[str, pa.Array], Faults]:
        """Who did what to which item when, and what is wrong with it."""
        log = self._log
        users, wrong_users = to_strings(batch[log.user])
        items, wrong_items = to_strings(batch[log.item])
        times, wrong_times = to_seconds(batch[log.time], log.unit, log.format)
        types = self._types(batch)
        item_rows = pa.array(self._catalogue.rows(items))
        faults = {
            **prefixed("user", wrong_users),
            **prefixed("item", wrong_items),
            **prefixed("time", wrong_times),
            "missing user": users.is_null(),
            "missing item": items.is_null(),
            "missing time": times.is_null(),
            "item not in the catalogue": pc.less(item_rows, 0),
        }
        if log.weights:
            known = pc.is_in(types, pa.array(list(log.weights), pa.string()))
            faults["event type not in weights"] = pc.invert(known)
        part = pa.repeat(pa.scalar(self._part, pa.string()), len(batch))
        return {USER: users, ITEM_ROW: item_rows, TIME: times, TYPE: types, PART: part}, faults

    def _cast(self, name: str, feature: Feature, batch: pa.RecordBatch) -> tuple[pa.Array, Faults]:
        """A feature's values; where this log has no such column, none."""
        column = pa.nulls(len(batch), pa.string())
        if name in self._column:
            column = batch[self._column[name]]
        return cast_feature(name, feature, column, self._log.unit, self._log.format)

    def _types(self, batch: pa.RecordBatch) -> pa.Array:
        if self._log.type_column:
            return to_strings(batch[self._log.type_column])[0]
        return pa.repeat(pa.scalar(self._log.type, pa.string()), len(batch))


def _in_range(rows: pa.RecordBatch, clean: Cleaning) -> pa.RecordBatch:
    """Drops events before `after`, and from `before` on."""
    for name, moment, compare in (
        ("after", clean.after, pc.greater_equal),
        ("before", clean.before, pc.less),
    ):
        if moment:
            inside = rows.filter(compare(rows[TIME], _utc_seconds(moment)))
            counts.drop(f"not {name} {moment.isoformat()}", len(rows) - len(inside))
            rows = inside
    return rows


def _utc_seconds(moment: datetime) -> int:
    return int((moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp())


def _to_shards(
    batch: pa.RecordBatch, shards: int, spill: Path | None
) -> Iterator[tuple[int, Piece]]:
    if len(batch):
        yield from by_bucket(batch, buckets_of(batch[USER], shards), spill)


def _write_shard(
    group: tuple[int, Iterable[Piece]], clean: Cleaning, folder: Path, shards: int
) -> None:
    """Sorts a shard's events and leaves out duplicates and robots."""
    shard, pieces = group
    table = unpack(pieces)
    keys = (table[LINE], _codes(table[FILE]), table[TIME], _codes(table[USER]))
    order = np.lexsort([np.asarray(key) for key in keys])
    table = table.take(pa.array(order)).drop([FILE, LINE])
    if clean.duplicates == "drop":
        table = _without(table, _duplicates(table), "duplicate")
    if clean.robots:
        users, times = _codes(table[USER]), table[TIME].to_numpy()
        found = robots(users, times, clean.robots.events, clean.robots.within)
        table = _without(table, found, "robot")
    if table.num_rows:
        _write(table, folder / f"events-{shard:05d}-of-{shards:05d}.parquet")


def _codes(column: pa.ChunkedArray) -> np.ndarray:
    """Numbers of the values in their order: `[rows]` int64."""
    column = column.combine_chunks()
    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    rank = np.empty(len(encoded.dictionary), np.int64)
    rank[pc.sort_indices(encoded.dictionary).to_numpy()] = np.arange(len(rank))
    return rank[encoded.indices.to_numpy()]


def _duplicates(table: pa.Table) -> np.ndarray:
    """Marks rows that equal an earlier one."""
    keys = (table[ITEM_ROW].to_numpy(), table[TIME].to_numpy(), _codes(table[USER]))
    order = np.lexsort(keys)
    same = np.ones(table.num_rows, bool)
    for values in keys:
        values = values[order]
        same &= np.r_[False, values[1:] == values[:-1]][: len(same)]
    near = order[same | np.r_[same[1:], False][: len(same)]]
    duplicates = np.zeros(table.num_rows, bool)
    if len(near):
        rows = pd.Series(map(repr, table.take(pa.array(near)).to_pylist()))
        duplicates[near] = rows.duplicated().to_numpy()
    return duplicates


def _without(table: pa.Table, out: np.ndarray, reason: str) -> pa.Table:
    counts.drop(reason, int(out.sum()))
    return table.filter(pa.array(~out)) if out.any() else table


def _users_and_items(file: Path) -> tuple[np.ndarray, np.ndarray]:
    events = pa.parquet.read_table(file, columns=[USER, ITEM_ROW])
    return _codes(events[USER]), events[ITEM_ROW].to_numpy()


def _keep_core(file: Path, item_ok: np.ndarray, min_user_events: int) -> None:
    keep = kept(*_users_and_items(file), item_ok, min_user_events)
    events = _without(pa.parquet.read_table(file), ~keep, "too few events of shopper or item")
    if events.num_rows:
        _write(events, file)
    else:
        file.unlink()


def _write(table: pa.Table, file: Path) -> None:
    scratch = file.with_suffix(".tmp")
    pa.parquet.write_table(table, scratch)
    scratch.rename(file)
