"""Complementary items, found in the training events."""

from collections.abc import Mapping
from pathlib import Path

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet

from tfrec.data import beam as beams
from tfrec.data.catalogue import GROUP, ID, Catalogue
from tfrec.data.columns import Columns
from tfrec.data.complements import Groups, Rules, find_complements
from tfrec.data.config import DataConfig, Pairs
from tfrec.data.events import event_files
from tfrec.data.frequency import baskets_before
from tfrec.data.prepared import TRAIN, PreparedData
from tfrec.data.sessions import session_numbers
from tfrec.data.shard import Shard
from tfrec.data.splits import PARTS, Split

_BUCKETS = 64


def write_pairs(
    config: DataConfig, pairs: Pairs, columns: Columns, split: Split, output: PreparedData
) -> None:
    """Finds each item's best complements in the training events and writes them by their ids.

    The table's columns are those of `best_complements`, with ids in place of rows.

    Args:
      config: the `data` section.
      pairs: its `pairs` section.
      columns: where the features' values are.
      split: tells the training events.
      output: holds catalogue and events; the pairs go there too.
    """
    output.pairs.mkdir()
    items = len(Catalogue(output.catalogue))
    rules = Rules(
        score=pairs.score,
        top=pairs.top,
        min_count=pairs.min_count,
        max_group=pairs.max_group,
        ordered=pairs.ordered,
        seed=config.seed,
    )
    files = event_files(output.events)

    def build(pipeline: beam.Pipeline) -> None:
        shards = pipeline | beam.Create(files, reshuffle=False) | beam.Reshuffle()

        def groups(types: tuple[str, ...]) -> beam.PCollection:
            wanted = columns, config, split, output.catalogue, pairs.within, types
            return shards | f"Groups of {types or 'examples'}" >> beam.Map(_groups, *wanted)

        bought = groups(pairs.types)
        viewed = groups(pairs.viewed) if pairs.viewed else None
        codes = None
        if pairs.substitutes:
            path = pipeline | "Catalogue" >> beam.Create([output.catalogue], reshuffle=False)
            codes = path | beam.Map(_group_codes)
        found = find_complements(bought, viewed, rules, items, _BUCKETS, codes)
        _ = found | beam.Map(_write, output)

    beams.run(config.beam, build)


def _groups(
    file: Path,
    columns: Columns,
    config: DataConfig,
    split: Split,
    catalogue: Path,
    within: str,
    types: tuple[str, ...],
) -> Groups:
    shard = Shard(file, columns, Catalogue(catalogue), config, split)
    rows = (shard.parts == PARTS.index(TRAIN)) & shard.is_type(types)
    users, times = shard.numbers[rows], shard.times[rows]
    if within == "session":
        numbers = session_numbers(users, times, config.session_gap)
    else:
        numbers = baskets_before(users, times)
    begins = (np.diff(users, prepend=-1) != 0) | (np.diff(numbers, prepend=-1) != 0)
    return Groups(np.cumsum(begins) - 1, shard.item_rows[rows], times)


def _group_codes(catalogue: Path) -> np.ndarray:
    codes = Catalogue(catalogue).table[GROUP].combine_chunks().dictionary_encode().indices
    return codes.fill_null(-1).to_numpy()


def _write(found: pa.Table, output: PreparedData) -> None:
    if not found.num_rows:
        return
    ids = Catalogue(output.catalogue).table[ID]
    first = found["item"][0].as_py()
    columns: Mapping[str, pa.Array] = {
        name: ids.take(found[name]) if name in ("item", "complement") else found[name]
        for name in found.column_names
    }
    pa.parquet.write_table(pa.table(columns), output.pairs / f"pairs-{first:08d}.parquet")
