"""The catalogue: one row per item, whose row number is the item's dense id everywhere inside."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from tfrec.data import beam as beams
from tfrec.data import counts
from tfrec.data.casting import cast_feature, prefixed
from tfrec.data.config import DataConfig, Items
from tfrec.data.prepared import PreparedData
from tfrec.data.sources import BAD_ROWS, FILE, LINE, UNREADABLE, ReadFiles
from tfrec.data.times import to_seconds
from tfrec.data.values import Faults, to_strings
from tfrec.errors import UserError
from tfrec.features import Feature

ID = "_id"
NAME = "_name"
GROUP = "_group"
_UPDATED = "_updated"
_REJECT = partial(beam.pvalue.TaggedOutput, counts.REJECTED)


class Catalogue:
    """The items that can be recommended."""

    def __init__(self, path: Path) -> None:
        """Names the table that `prepare_catalogue` wrote; it is read when it is needed."""
        self._path = path

    @cached_property
    def table(self) -> pa.Table:
        """The items by row, sorted by id.

        Columns: `_id`, `_name`, `_group` (the same for substitutes, where the config asks for
        pairs) and the item features as `cast_feature` makes them.
        """
        return pa.parquet.read_table(self._path)

    def __len__(self) -> int:
        """The number of items."""
        return self.table.num_rows

    @cached_property
    def ids(self) -> np.ndarray:
        """The items' ids by row: `[items]` strings."""
        return self.table[ID].to_numpy()

    @cached_property
    def names(self) -> np.ndarray:
        """The items' names by row: `[items]` strings."""
        return self.table[NAME].to_numpy()

    @cached_property
    def group_codes(self) -> np.ndarray:
        """Numbers that are the same for substitutes: `[items]`, -1 where none are known."""
        if GROUP not in self.table.column_names:
            return np.full(len(self), -1)
        codes = self.table[GROUP].combine_chunks().dictionary_encode().indices
        return codes.fill_null(-1).to_numpy()

    def features(self, row: int) -> dict[str, Any]:
        """An item's raw features but for its id: a string, number or list of either, or None."""
        values = self.table.slice(row, 1).to_pylist()[0]
        return {name: value for name, value in values.items() if not name.startswith("_")}

    def value(self, name: str, place: str) -> pa.Array:
        """A feature of place `item` (the id) or `catalogue`, by catalogue row: `[items]`."""
        return self.table[ID if place == "item" else name].combine_chunks()

    def rows(self, ids: Sequence[str] | np.ndarray | pa.Array) -> np.ndarray:
        """Finds the rows of items by their ids.

        Args:
          ids: `[n]` strings.

        Returns:
          `[n]` int64 rows; -1 for an id that is not in the catalogue.
        """
        if isinstance(ids, pa.Array):
            distinct = ids.dictionary_encode()
            found = np.append(self.rows(distinct.dictionary.to_numpy(zero_copy_only=False)), -1)
            return found[distinct.indices.fill_null(-1).to_numpy()]
        return self._index.get_indexer(np.asarray(ids, dtype=object))

    @cached_property
    def _index(self) -> pd.Index:
        return pd.Index(self.ids)


def prepare_catalogue(
    config: DataConfig,
    features: Mapping[str, Feature],
    files: Sequence[str],
    output: PreparedData,
) -> counts.Counts:
    """Cleans the catalogue and gives every item its row.

    Rows whose id or a feature's value cannot be right are rejected. Of the rows that share an id
    the newest stays, where `items.updated` tells; otherwise the first, and the rest is rejected.

    Args:
      config: the `data` section.
      features: the item features that are columns of the catalogue.
      files: the catalogue's files.
      output: where the table and the rejected rows go.

    Returns:
      Rows read, rejected and dropped.

    Raises:
      UserError: if no row is left.
    """
    items = config.items
    group = config.pairs.substitutes if config.pairs else None
    in_file = [items.columns.get(name, name) for name in features]
    named = [items.id, *items.name, items.updated, group]
    columns = list(dict.fromkeys(name for name in (*named, *in_file) if name))

    def build(pipeline: beam.Pipeline) -> None:
        read = pipeline | beam.Create(files, reshuffle=False) | ReadFiles(columns)
        checked = read[None] | beam.FlatMap(_check, items, features, group).with_outputs(
            counts.REJECTED, main="items"
        )
        unread = read[BAD_ROWS] | beam.Map(counts.reject_unread)
        whole = (
            checked["items"]
            | beam.Map(lambda batch: (None, batch))
            | beam.GroupByKey()
            | beam.FlatMapTuple(
                lambda _, batches: _one_row_each(batches, bool(items.updated))
            ).with_outputs(counts.REJECTED, main="items")
        )
        _ = whole["items"] | beam.Map(_write, output.catalogue)
        rejected = (unread, checked[counts.REJECTED], whole[counts.REJECTED]) | beam.Flatten()
        beams.write_lines(rejected, output.rejects, "items.jsonl")
        beams.write_lines(read[UNREADABLE], output.rejects, "unreadable-items.txt")

    result = beams.run(config.beam, build)
    beams.check_readable(output.rejects)
    if not output.catalogue.exists():
        raise UserError("data.items: no row of the catalogue is left; rejects/ says why")
    return result


def cast_items(
    batch: pa.RecordBatch, config: Items, features: Mapping[str, Feature]
) -> tuple[dict[str, pa.Array], Faults]:
    """Casts raw rows of a catalogue and checks their values.

    Args:
      batch: rows with the columns of the ids and the features.
      config: says which these are.
      features: the item features that are columns of the catalogue.

    Returns:
      `_id` and the features by name, `[rows]` as `cast_feature` makes them; and what is wrong with
      which rows.
    """
    ids, wrong = to_strings(batch[config.id])
    faults = {**prefixed("item id", wrong), "missing item id": ids.is_null()}
    columns = {ID: ids}
    for name, feature in features.items():
        column = batch[config.columns.get(name, name)]
        columns[name], wrong = cast_feature(name, feature, column, config.unit, config.format)
        faults |= wrong
    return columns, faults


def _check(
    batch: pa.RecordBatch, config: Items, features: Mapping[str, Feature], group: str | None
) -> Iterator[object]:
    """Raw rows -> rows of the catalogue's types, with their file and line."""
    cast, faults = cast_items(batch, config, features)
    columns = {ID: cast.pop(ID), NAME: _name(batch, config)}
    if group:
        columns[GROUP], _ = to_strings(batch[group])
    columns |= cast
    columns[_UPDATED] = pa.nulls(len(batch), pa.int64())
    if config.updated:
        moments, wrong = to_seconds(batch[config.updated], config.unit, config.format)
        columns[_UPDATED] = moments
        faults |= prefixed(config.updated, wrong)
    counts.read(len(batch))
    good, lines = counts.reject(batch, faults)
    yield from map(_REJECT, lines)
    columns |= {FILE: batch[FILE], LINE: batch[LINE]}
    yield pa.RecordBatch.from_arrays(list(columns.values()), list(columns)).filter(good)


def _name(batch: pa.RecordBatch, config: Items) -> pa.Array:
    parts = [to_strings(batch[column])[0] for column in config.name or (config.id,)]
    name = pc.binary_join_element_wise(*parts, " ", null_handling="replace")
    return pc.utf8_trim_whitespace(pc.replace_substring_regex(name, r"\s+", " "))


def _one_row_each(batches: Iterable[pa.RecordBatch], newest: bool) -> Iterator[object]:
    """Sorts the rows by id and keeps one of each: the newest, or the first by file and line."""
    table = pa.Table.from_batches(batches)
    table = table.set_column(table.column_names.index(FILE), FILE, table[FILE].cast(pa.string()))
    keys = [(ID, "ascending"), (_UPDATED, "descending"), (FILE, "ascending"), (LINE, "ascending")]
    table = table.take(pc.sort_indices(table, sort_keys=keys)).combine_chunks()
    repeated = pa.array(pd.Series(table[ID].to_numpy()).duplicated().to_numpy())
    if newest:
        counts.drop("superseded row of the catalogue", repeated.sum().as_py())
    else:
        shown = table.drop([_UPDATED])
        yield from map(_REJECT, counts.reject(shown, {"repeated item id": repeated})[1])
    yield table.filter(pc.invert(repeated)).drop([_UPDATED, FILE, LINE])


def _write(table: pa.Table, output: Path) -> None:
    if table.num_rows:
        pa.parquet.write_table(table, output)
