"""Complementary items, found in the training events."""

from collections.abc import Mapping
from pathlib import Path

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet

from tfrec.data import beam as beams
from tfrec.data.catalogue import ID, Catalogue
from tfrec.data.columns import Columns
from tfrec.data.complements import Groups, Rules, find_complements
from tfrec.data.config import DataConfig, Pairs
from tfrec.data.events import event_files
from tfrec.data.pairing import group_events
from tfrec.data.prepared import TRAIN, PreparedData
from tfrec.data.shard import Shard
from tfrec.data.splits import Split

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
            wanted = columns, config, split, output.catalogue, pairs, types
            return shards | f"Groups of {types or 'examples'}" >> beam.Map(_groups, *wanted)

        bought = groups(pairs.types)
        viewed = groups(pairs.viewed) if pairs.viewed else None
        codes = None
        if pairs.substitutes:
            path = pipeline | "Catalogue" >> beam.Create([output.catalogue], reshuffle=False)
            codes = path | beam.Map(lambda path: Catalogue(path).group_codes)
        found = find_complements(bought, viewed, rules, items, _BUCKETS, codes)
        _ = found | beam.Map(_write, output)

    beams.run(config.beam, build)


def _groups(
    file: Path,
    columns: Columns,
    config: DataConfig,
    split: Split,
    catalogue: Path,
    pairs: Pairs,
    types: tuple[str, ...],
) -> Groups:
    shard = Shard(file, columns, Catalogue(catalogue), config, split)
    rows, groups = group_events(shard, TRAIN, config, pairs, types)
    return Groups(groups, shard.item_rows[rows], shard.times[rows])


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
