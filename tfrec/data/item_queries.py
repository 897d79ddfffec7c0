"""Raw queries by items: what was chosen together with an item in a part."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet

from tfrec.data import beam as beams
from tfrec.data.casting import raw_type
from tfrec.data.catalogue import ID, Catalogue
from tfrec.data.columns import Columns
from tfrec.data.config import DataConfig, Pairs
from tfrec.data.events import USER, event_files
from tfrec.data.pairing import all_pairs
from tfrec.data.prepared import TEST, VALIDATION, PreparedData
from tfrec.data.queries import RELEVANT, SEEN
from tfrec.data.shard import Shard
from tfrec.data.shuffle import Piece, by_bucket, unpack
from tfrec.data.splits import Split
from tfrec.features import FeatureSpec, Vector

_BUCKETS = 16


def write_item_queries(
    config: DataConfig,
    pairs: Pairs,
    spec: FeatureSpec,
    columns: Columns,
    split: Split,
    output: PreparedData,
) -> None:
    """Writes a query for each item that led to another one in validation or test.

    Columns as those of `query_table`: `_user`, here the item's id; the raw features of role item,
    those that only promotions tell being missing; `_relevant`, the rows of the items that it led
    to, each once; `_seen`, its own row.

    Args:
      config: the `data` section.
      pairs: its `pairs` section.
      spec: the features.
      columns: where their values are.
      split: divides the events.
      output: holds catalogue and events; the queries go there too.
    """
    for part in (VALIDATION, TEST):
        output.queries(part, "items").mkdir(parents=True)
    files = event_files(output.events)

    def build(pipeline: beam.Pipeline) -> None:
        _ = (
            pipeline
            | beam.Create(files, reshuffle=False)
            | beam.Reshuffle()
            | beam.FlatMap(_find, config, pairs, columns, split, output)
            | beam.GroupByKey()
            | beam.Map(_write, spec, columns, output)
        )

    beams.run(config.beam, build)


def item_features(catalogue: Catalogue, spec: FeatureSpec, columns: Columns) -> pa.Table:
    """Raw features of role item of the whole catalogue, as a query by an item has them."""
    features = {}
    for name in spec.of_role("item"):
        feature, place = spec[name], columns.places[name]
        if place == "promotion":
            values = pa.nulls(len(catalogue), raw_type(feature))
        else:
            values = catalogue.value(name, place)
        if isinstance(feature, Vector):
            values = values.fill_null([0.0] * feature.dim)
        features[name] = values
    return pa.table(features)


def _find(
    file: Path,
    config: DataConfig,
    pairs: Pairs,
    columns: Columns,
    split: Split,
    output: PreparedData,
) -> Iterator[tuple[tuple[str, int], Piece]]:
    """The distinct pairs of items of a file, in buckets by part and source."""
    catalogue = Catalogue(output.catalogue)
    shard = Shard(file, columns, catalogue, config, split)
    items = len(catalogue)
    for part in (VALIDATION, TEST):
        codes = [
            np.unique(shard.item_rows[sources] * items + shard.item_rows[targets])
            for sources, targets in all_pairs(shard, part, config, pairs, catalogue.group_codes)
        ]
        sources, targets = np.divmod(np.unique(np.concatenate(codes)), items)
        found = pa.RecordBatch.from_pydict({"source": sources, "target": targets})
        for bucket, piece in by_bucket(found, sources % _BUCKETS):
            yield (part, bucket), piece


def _write(
    bucket_of_part: tuple[tuple[str, int], Iterable[Piece]],
    spec: FeatureSpec,
    columns: Columns,
    output: PreparedData,
) -> None:
    (part, bucket), pieces = bucket_of_part
    pairs = unpack(pieces).group_by(["source", "target"]).aggregate([])
    pairs = pairs.sort_by([("source", "ascending"), ("target", "ascending")])
    sources, firsts = np.unique(pairs["source"].to_numpy(), return_index=True)
    offsets = pa.array(np.append(firsts, pairs.num_rows), pa.int32())
    catalogue, chosen = Catalogue(output.catalogue), pa.array(sources)
    features = item_features(catalogue, spec, columns).take(chosen)
    targets = pairs["target"].combine_chunks()
    own = pa.array(np.arange(len(sources) + 1), pa.int32())
    queries = {
        USER: catalogue.table[ID].take(chosen),
        **dict(zip(features.column_names, features.columns, strict=True)),
        RELEVANT: pa.ListArray.from_arrays(offsets, targets),
        SEEN: pa.ListArray.from_arrays(own, chosen),
    }
    pa.parquet.write_table(pa.table(queries), output.queries(part, "items") / f"{bucket}.parquet")
