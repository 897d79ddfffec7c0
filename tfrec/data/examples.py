"""Transformed Examples of events and items, and the raw queries and profiles beside them."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import tensorflow as tf
import tensorflow_transform as tft
from tfx_bsl.coders.example_coder import RecordBatchToExamplesEncoder

from tfrec.data import beam as beams
from tfrec.data.catalogue import Catalogue
from tfrec.data.columns import Columns
from tfrec.data.config import DataConfig
from tfrec.data.prepared import TRAIN, PreparedData
from tfrec.data.queries import profile_table, query_table
from tfrec.data.shard import Shard, lists
from tfrec.data.split import Window
from tfrec.features import FeatureSpec
from tfrec.features.parsing import ITEM_ROW, REPEAT, TIME
from tfrec.features.signature import sparse_inputs

_BATCH_ROWS = 4096


def write_examples(
    config: DataConfig,
    spec: FeatureSpec,
    columns: Columns,
    windows: Mapping[str, Window],
    output: PreparedData,
) -> None:
    """Writes what later stages read; each file of cleaned events gives one file of each kind.

    Transformed Examples of events are in random order and carry the event's `_item_row`, `_time`
    and `_repeat` beside its features; those of items are in the order of the catalogue. Queries
    and profiles are tables of raw features (see `query_table` and `profile_table`).

    Args:
      config: the `data` section.
      spec: the features.
      columns: where their values are.
      windows: name -> stretch of time.
      output: holds catalogue, events and transform; the files go there too.
    """
    folders = [output.items, output.profiles, *map(output.examples, windows)]
    folders += [output.queries(window) for window in windows if window != TRAIN]
    for folder in folders:
        folder.mkdir(parents=True)
    files = list(enumerate(sorted(output.events.glob("*.parquet"))))

    def build(pipeline: beam.Pipeline) -> None:
        _ = (
            pipeline
            | "Files" >> beam.Create(files, reshuffle=False)
            | beam.Reshuffle()
            | beam.ParDo(_WriteEvents(spec, output, columns, windows, config.seed))
        )
        whole = [range(len(Catalogue(output.catalogue)))]
        _ = (
            pipeline
            | "Catalogue" >> beam.Create(whole, reshuffle=False)
            | beam.ParDo(_WriteItems(spec, output, columns))
        )

    beams.run(config.runner, build)


class _Write(beam.DoFn):
    """What both kinds of files need: the catalogue, the transform graph and the encoder."""

    def __init__(self, spec: FeatureSpec, output: PreparedData, columns: Columns) -> None:
        self._spec, self._output, self._columns = spec, output, columns

    def setup(self) -> None:
        self._catalogue = Catalogue(self._output.catalogue)
        self._transform = tft.TFTransformOutput(str(self._output.transform))
        self._layer = self._transform.transform_features_layer()
        self._encoder = RecordBatchToExamplesEncoder()

    def _look_up(self, raw: Mapping[str, pa.Array]) -> dict[str, pa.Array]:
        """Raw categories `[rows]` -> int64 rows of their vocabularies `[rows]`."""
        strings = {name: column.fill_null("").to_numpy(False) for name, column in raw.items()}
        inputs = sparse_inputs({name: tf.constant(column) for name, column in strings.items()})
        return {name: pa.array(rows.numpy()) for name, rows in self._layer(inputs).items()}

    def _save(self, path: Path, batches: Iterator[dict[str, pa.Array]]) -> None:
        scratch = path.with_suffix(".tmp")
        with tf.io.TFRecordWriter(str(scratch)) as file:
            for columns in batches:
                batch = pa.RecordBatch.from_arrays(
                    [_as_lists(column) for column in columns.values()], list(columns)
                )
                for example in self._encoder.encode(batch):
                    file.write(example)
        scratch.rename(path)


class _WriteItems(_Write):
    """A range of the catalogue's rows -> a file of Examples."""

    def process(self, rows: range) -> None:
        names = self._spec.of_role("item")
        raw = {name: self._columns.item_values(name, self._catalogue) for name in names}
        columns = {ITEM_ROW: pa.array(rows, pa.int64()), **self._look_up(raw)}
        self._save(
            self._output.items / "items.tfrecord",
            (
                {name: column.slice(start, _BATCH_ROWS) for name, column in columns.items()}
                for start in range(0, len(rows), _BATCH_ROWS)
            ),
        )


class _WriteEvents(_Write):
    """A numbered file of cleaned events -> its examples, queries and profiles."""

    def __init__(
        self,
        spec: FeatureSpec,
        output: PreparedData,
        columns: Columns,
        windows: Mapping[str, Window],
        seed: int,
    ) -> None:
        super().__init__(spec, output, columns)
        self._windows, self._seed = windows, seed

    def process(self, numbered_file: tuple[int, Path]) -> None:
        number, file = numbered_file
        name = file.stem.removeprefix("events-")
        shard = Shard(file, self._spec, self._columns, self._catalogue)
        columns = {
            ITEM_ROW: shard.item_rows,
            TIME: pa.array(shard.times),
            REPEAT: pa.array(shard.repeats.astype(np.int64)),
            **self._look_up(shard.raw),
        }
        random = np.random.default_rng([self._seed, number])
        for window, span in self._windows.items():
            order = random.permutation(shard.in_window(span))
            path = self._output.examples(window) / f"{window}-{name}.tfrecord"
            self._save(path, self._batches(shard, columns, order))
            if window != TRAIN:
                queries = query_table(shard, self._spec, span)
                pa.parquet.write_table(queries, self._output.queries(window) / f"{name}.parquet")
        profiles = profile_table(shard, self._spec)
        pa.parquet.write_table(profiles, self._output.profiles / f"{name}.parquet")

    def _batches(
        self, shard: Shard, columns: Mapping[str, pa.Array], order: np.ndarray
    ) -> Iterator[dict[str, pa.Array]]:
        """A sequence's transformed values are those of its events: none is looked up twice."""
        sequences = {}
        for name, sequence in self._spec.sequences.items():
            missing = shard.raw[sequence.of].is_null().to_numpy(zero_copy_only=False)
            values = pa.array(columns[sequence.of].to_numpy(), mask=missing)
            sequences[name] = (values, *shard.history(sequence.last))
        for start in range(0, len(order), _BATCH_ROWS):
            rows = order[start : start + _BATCH_ROWS]
            batch = {name: column.take(pa.array(rows)) for name, column in columns.items()}
            for name, (values, starts, ends) in sequences.items():
                batch[name] = lists(values, starts[rows], ends[rows])
            yield batch


def _as_lists(column: pa.Array) -> pa.Array:
    """The encoder takes lists: a column of single values becomes one of lists of one."""
    if pa.types.is_list(column.type):
        return column
    return pa.ListArray.from_arrays(pa.array(range(len(column) + 1), pa.int32()), column)
