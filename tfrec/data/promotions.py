"""Promotions, and joining them to events by item and time."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
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
from tfrec.data.casting import cast_feature, prefixed, raw_type
from tfrec.data.catalogue import Catalogue
from tfrec.data.config import DataConfig, Promotions
from tfrec.data.prepared import PreparedData
from tfrec.data.shuffle import Piece, by_bucket, spill_folder, unpack
from tfrec.data.sources import BAD_ROWS, FILE, LINE, UNREADABLE, ReadFiles
from tfrec.data.times import to_seconds
from tfrec.data.values import to_strings
from tfrec.features import Feature
from tfrec.features.parsing import ITEM_ROW, TIME

MATCH = "_match_"
"""Prefix of the columns that events and promotions must have in common."""

_BUCKETS = 32
_START, _END = "_start", "_end"
_REJECT = partial(beam.pvalue.TaggedOutput, counts.REJECTED)


def prepare_promotions(
    config: DataConfig,
    features: Mapping[str, Feature],
    files: Sequence[str],
    output: PreparedData,
) -> counts.Counts:
    """Cleans the promotions into files that each hold all promotions of some items.

    Rows without an item, a time or a value to match by, and those with a value that cannot be
    right, are rejected; promotions of items outside the catalogue are dropped.

    Args:
      config: the `data` section.
      features: the features that are columns of the promotions.
      files: the promotions' files.
      output: holds the catalogue; the promotions and the rejected rows go there too.

    Returns:
      Rows read, rejected and dropped.
    """
    assert config.promotions  # the stage calls it only then
    output.promotions.mkdir()
    check = _Check(config.promotions, features, output.catalogue)

    def build(pipeline: beam.Pipeline, spill: Path | None) -> None:
        read = pipeline | beam.Create(files, reshuffle=False) | ReadFiles(check.columns)
        checked = read[None] | beam.ParDo(check).with_outputs(counts.REJECTED, main="promotions")
        _ = (
            checked["promotions"]
            | beam.FlatMap(_by_item, spill)
            | beam.GroupByKey()
            | beam.Map(_write, output.promotions)
        )
        unread = read[BAD_ROWS] | beam.Map(counts.reject_unread)
        rejected = (checked[counts.REJECTED], unread) | beam.Flatten()
        beams.write_lines(rejected, output.rejects, "promotions.jsonl")
        beams.write_lines(read[UNREADABLE], output.rejects, "unreadable-promotions.txt")

    with spill_folder(config.beam, output.path) as spill:
        result = beams.run(config.beam, lambda pipeline: build(pipeline, spill))
    beams.check_readable(output.rejects)
    return result


class JoinPromotions(beam.PTransform):
    """Gives every event the features of the promotion that was running for its item.

    Of several promotions the one that began last counts, then the last of the table. Events
    without one get nulls.
    """

    def __init__(
        self, features: Mapping[str, Feature], folder: Path, spill: Path | None = None
    ) -> None:
        """Names the features, the folder that `prepare_promotions` filled, and one to spill to."""
        super().__init__()
        self._features, self._folder, self._spill = dict(features), folder, spill

    def expand(self, events: beam.PCollection) -> beam.PCollection:
        """Maps record batches with the columns `_item_row`, `_time` and the matching ones."""
        return (
            events
            | "Events by item" >> beam.FlatMap(_by_item, self._spill)
            | "Same items" >> beam.GroupByKey()
            | "Join" >> beam.FlatMap(_join, self._features, self._folder)
        )


class _Check(beam.DoFn):
    """Raw rows -> rows of the promotions' types; rejects what cannot be right."""

    def __init__(
        self, config: Promotions, features: Mapping[str, Feature], catalogue: Path
    ) -> None:
        self._config, self._path = config, catalogue
        self._features = {n: (config.columns.get(n, n), features[n]) for n in features}
        named = [config.item, config.start, config.end, *config.match]
        named += [column for column, _ in self._features.values()]
        self.columns = list(dict.fromkeys(name for name in named if name))

    def setup(self) -> None:
        self._catalogue = Catalogue(self._path)

    def process(self, batch: pa.RecordBatch) -> Iterator[object]:
        config = self._config
        items, wrong = to_strings(batch[config.item])
        faults = {**prefixed("item", wrong), "missing item": items.is_null()}
        columns = {ITEM_ROW: pa.array(self._catalogue.rows(items))}
        for name, column in ((_START, config.start), (_END, config.end)):
            if column:
                columns[name], wrong = to_seconds(batch[column], config.unit, config.format)
                faults |= prefixed(column, wrong)
                faults[f"missing {column}"] = columns[name].is_null()
        for name in config.match:
            columns[MATCH + name], _ = to_strings(batch[name])
            faults[f"missing {name}"] = columns[MATCH + name].is_null()
        for name, (column, feature) in self._features.items():
            columns[name], wrong = cast_feature(
                name, feature, batch[column], config.unit, config.format
            )
            faults |= wrong
        columns |= {FILE: batch[FILE], LINE: batch[LINE]}
        counts.read(len(batch))
        good, lines = counts.reject(batch, faults)
        yield from map(_REJECT, lines)
        rows = pa.RecordBatch.from_arrays(list(columns.values()), list(columns)).filter(good)
        known = rows.filter(pc.greater_equal(rows[ITEM_ROW], 0))
        counts.drop("promotion of an item outside the catalogue", len(rows) - len(known))
        yield known


def _by_item(batch: pa.RecordBatch, spill: Path | None) -> Iterator[tuple[int, Piece]]:
    if len(batch):
        yield from by_bucket(batch, batch[ITEM_ROW].to_numpy() % _BUCKETS, spill)


def _file(folder: Path, bucket: int) -> Path:
    return folder / f"promotions-{bucket:05d}-of-{_BUCKETS:05d}.parquet"


def _write(group: tuple[int, Iterable[Piece]], folder: Path) -> None:
    """Writes a bucket in the order in which a later row counts before an earlier one."""
    bucket, pieces = group
    table = unpack(pieces)
    table = table.set_column(table.column_names.index(FILE), FILE, table[FILE].cast(pa.string()))
    keys = [name for name in (_START, FILE, LINE) if name in table.column_names]
    rows = pc.sort_indices(table, sort_keys=[(name, "ascending") for name in keys])
    pa.parquet.write_table(table.take(rows).drop([FILE, LINE]), _file(folder, bucket))


def _join(
    group: tuple[int, Iterable[Piece]], features: Mapping[str, Feature], folder: Path
) -> Iterator[pa.RecordBatch]:
    bucket, pieces = group
    events, file = unpack(pieces), _file(folder, bucket)
    if file.exists():
        promotions = pa.parquet.read_table(file)
        rows = _running(events, promotions)
        found = pa.array(rows, mask=rows < 0)
        columns = {name: promotions[name].take(found) for name in features}
    else:
        columns = {name: pa.nulls(len(events), raw_type(features[name])) for name in features}
    for name, column in columns.items():
        events = events.append_column(name, column)
    events = events.drop([name for name in events.column_names if name.startswith(MATCH)])
    yield from events.combine_chunks().to_batches()


def _running(events: pa.Table, promotions: pa.Table) -> np.ndarray:
    """The row of the promotion that applies to each event; -1 where none does."""
    keys = [ITEM_ROW, *(name for name in promotions.column_names if name.startswith(MATCH))]
    times = [name for name in (_START, _END) if name in promotions.column_names]
    left = events.select([*keys, TIME]).to_pandas().sort_values(TIME, kind="stable")
    right = promotions.select([*keys, *times]).to_pandas()
    right["_row"] = range(len(right))
    if times:
        begun = pd.merge_asof(left, right, left_on=TIME, right_on=_START, by=keys)
        rows = begun["_row"].fillna(-1).to_numpy(np.int64)
        ends, outlasting = right[_END].to_numpy(), _outlasting(right, keys)
        while (over := (rows >= 0) & (ends[rows] <= begun[TIME].to_numpy())).any():
            rows[over] = outlasting[rows[over]]
    else:
        right = right.drop_duplicates(keys, keep="last")
        rows = left.merge(right, "left", keys)["_row"].fillna(-1).to_numpy(np.int64)
    in_order = np.empty_like(rows)
    in_order[left.index] = rows
    return in_order


def _outlasting(promotions: pd.DataFrame, keys: Sequence[str]) -> np.ndarray:
    """The last row before each promotion that has its keys and ends later; -1 where none does."""
    ends = promotions[_END].to_numpy()
    before = promotions.groupby(list(keys))["_row"].shift(fill_value=-1).to_numpy(np.int64)
    while (shorter := (before >= 0) & (ends[before] <= ends)).any():
        before[shorter] = before[before[shorter]]
    return before
