"""The catalogue: one row per item, whose row number is the item's dense id everywhere inside."""

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path

import apache_beam as beam
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from tfrec.data import beam as beams
from tfrec.data.config import DataConfig, Items
from tfrec.data.prepared import PreparedData
from tfrec.data.sources import ReadFiles
from tfrec.errors import UserError

ID = "_id"
NAME = "_name"


class Catalogue:
    """The items that can be recommended.

    Attributes:
      table: columns `_id`, `_name` and the item features, all strings; sorted by id.
    """

    def __init__(self, path: Path) -> None:
        """Reads the table that `prepare_catalogue` wrote to `path`."""
        self.table = pa.parquet.read_table(path)

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

    def rows(self, ids: Sequence[str] | np.ndarray | pa.Array) -> np.ndarray:
        """Finds the rows of items by their ids.

        Args:
          ids: `[n]` strings.

        Returns:
          `[n]` int64 rows; -1 for an id that is not in the catalogue.
        """
        return self._index.get_indexer(np.asarray(ids, dtype=object))

    @cached_property
    def _index(self) -> pd.Index:
        return pd.Index(self.ids)


def prepare_catalogue(
    config: DataConfig, features: Sequence[str], files: Sequence[str], output: PreparedData
) -> beams.Counts:
    """Cleans the catalogue and gives every item its row.

    Rows without an id, and all but the first of the rows that share one, are rejected.

    Args:
      config: the `data` section.
      features: columns to keep besides id and name.
      files: the catalogue's files.
      output: where the table and the rejected rows go.

    Returns:
      Rows read and rejected.
    """
    items = config.items
    columns = list(dict.fromkeys([items.id, *items.name, *features]))

    def build(pipeline: beam.Pipeline) -> None:
        checked = (
            pipeline
            | beam.Create(files, reshuffle=False)
            | ReadFiles(columns, text=columns)
            | beam.Map(lambda batch: (None, batch))
            | beam.GroupByKey()
            | beam.FlatMapTuple(lambda _, batches: _check(batches, items.id)).with_outputs(
                beams.REJECTED, main="items"
            )
        )
        beams.write_rejects(checked[beams.REJECTED], output.rejects, "items")
        _ = checked["items"] | beam.Map(_write, items, features, output.catalogue)

    counts = beams.run(config.runner, build)
    if not output.catalogue.exists():
        raise UserError("data.items: no row of the catalogue is left; rejects/ says why")
    return counts


def column_of(batch: pa.RecordBatch, name: str) -> pa.Array:
    """Returns a record batch's column by its name; a KeyError names one that is not there."""
    place = batch.schema.get_field_index(name)
    if place < 0:
        raise KeyError(name)
    return batch.column(place)


def to_strings(column: pa.Array) -> pa.Array:
    """Casts ids or categories to strings, as they are outside; an empty one is none at all."""
    strings = column.cast(pa.string())
    return pc.if_else(pc.equal(strings, ""), pa.scalar(None, pa.string()), strings)


def _check(batches: Iterable[pa.RecordBatch], id_column: str) -> Iterator[object]:
    table = pa.concat_tables(
        pa.table({name: to_strings(column_of(batch, name)) for name in batch.schema.names})
        for batch in batches
    )
    table = table.take(pc.sort_indices(table[id_column], null_placement="at_end"))
    (batch,) = table.combine_chunks().to_batches()
    ids = column_of(batch, id_column)
    repeated = pd.Series(ids.to_numpy(zero_copy_only=False)).duplicated().to_numpy()
    faults = {"missing item id": ids.is_null(), "repeated item id": pa.array(repeated)}
    yield from beams.accept(batch, faults)


def _write(batch: pa.RecordBatch, config: Items, features: Sequence[str], output: Path) -> None:
    parts = [column_of(batch, column) for column in config.name or (config.id,)]
    name = pc.binary_join_element_wise(*parts, " ", null_handling="replace")
    name = pc.utf8_trim_whitespace(pc.replace_substring_regex(name, r"\s+", " "))
    kept = {feature: column_of(batch, feature) for feature in features}
    table = pa.table({ID: column_of(batch, config.id), NAME: name, **kept})
    pa.parquet.write_table(table, output)
