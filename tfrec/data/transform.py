"""Fitting the transform graph on the training rows."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet
import tensorflow_transform.beam as tft_beam
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx_bsl.public.tfxio import TensorAdapterConfig

from tfrec.data import beam as beams
from tfrec.data.catalogue import Catalogue
from tfrec.data.columns import Columns
from tfrec.data.config import DataConfig
from tfrec.data.prepared import PreparedData
from tfrec.data.split import Window
from tfrec.features import FeatureSpec
from tfrec.features.parsing import TIME
from tfrec.features.transform import preprocessing_fn

_BATCH_ROWS = 16_384


def fit_transform(
    config: DataConfig, spec: FeatureSpec, columns: Columns, window: Window, output: PreparedData
) -> None:
    """Fits vocabularies on the events of one window and writes the transform graph.

    Args:
      config: the `data` section.
      spec: the features.
      columns: where their values are.
      window: the time to learn from.
      output: holds catalogue and events; the graph goes there too.
    """

    def build(pipeline: beam.Pipeline) -> None:
        rows = (
            pipeline
            | beam.Create(sorted(map(str, output.events.glob("*.parquet"))), reshuffle=False)
            | beam.Reshuffle()
            | beam.ParDo(_TrainingRows(spec, columns, window, output.catalogue))
        )
        transform = (rows, _tensors(spec)) | tft_beam.AnalyzeDataset(preprocessing_fn(spec))
        _ = transform | tft_beam.WriteTransformFn(str(output.transform))

    with tempfile.TemporaryDirectory() as scratch, tft_beam.Context(temp_dir=scratch):
        beams.run(config.runner, build)


class _TrainingRows(beam.DoFn):
    """A file of cleaned events -> record batches of raw features for TensorFlow Transform."""

    def __init__(
        self, spec: FeatureSpec, columns: Columns, window: Window, catalogue: Path
    ) -> None:
        self._spec, self._columns, self._window, self._path = spec, columns, window, catalogue

    def setup(self) -> None:
        self._catalogue = Catalogue(self._path)

    def process(self, file: str) -> Iterator[pa.RecordBatch]:
        start, end = self._window
        events = pa.parquet.read_table(file, filters=[(TIME, ">=", start), (TIME, "<", end)])
        values = self._columns.values(list(self._spec.categories), events, self._catalogue)
        for offset in range(0, events.num_rows, _BATCH_ROWS):
            batch = {name: column.slice(offset, _BATCH_ROWS) for name, column in values.items()}
            yield _as_lists(self._spec, batch)


def _as_lists(spec: FeatureSpec, values: dict[str, pa.Array]) -> pa.RecordBatch:
    """Makes every value a list of at most one; sequences, which teach nothing, are empty."""
    length = len(next(iter(values.values())))
    empty = pa.array([[]] * length, _LIST)
    columns = [_one_each(values[name]) if name in values else empty for name in spec.root]
    return pa.RecordBatch.from_arrays(columns, list(spec.root))


def _one_each(values: pa.Array) -> pa.Array:
    counts = values.is_valid().cast(pa.int32())
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), pc.cumulative_sum(counts)])
    return pa.ListArray.from_arrays(offsets, values.drop_null().cast(pa.binary()))


_LIST = pa.list_(pa.binary())


def _tensors(spec: FeatureSpec) -> TensorAdapterConfig:
    representation = {
        name: schema_pb2.TensorRepresentation(
            varlen_sparse_tensor=schema_pb2.TensorRepresentation.VarLenSparseTensor(
                column_name=name
            )
        )
        for name in spec.root
    }
    return TensorAdapterConfig(pa.schema([(name, _LIST) for name in spec.root]), representation)
