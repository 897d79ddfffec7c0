"""Fitting the transform graph on the training examples."""

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import apache_beam as beam
import numpy as np
import pyarrow as pa
import tensorflow_transform.beam as tft_beam
from tfx_bsl.public.tfxio import TensorAdapterConfig

from tfrec.data import beam as beams
from tfrec.data.casting import raw_type
from tfrec.data.catalogue import Catalogue
from tfrec.data.columns import Columns
from tfrec.data.config import DataConfig
from tfrec.data.events import event_files
from tfrec.data.prepared import TRAIN, PreparedData
from tfrec.data.preprocessing import compile_preprocessing
from tfrec.data.raw_columns import as_lists, raw_column
from tfrec.data.shard import Shard
from tfrec.data.splits import Split
from tfrec.features import Categorical, Feature, FeatureSpec, MultiCategorical, Sequence, Vector
from tfrec.features.schema import raw_schema

_BATCH_ROWS = 65_536


def fit_transform(
    config: DataConfig, spec: FeatureSpec, columns: Columns, split: Split, output: PreparedData
) -> None:
    """Fits vocabularies and numbers on the training examples and writes the transform graph.

    Args:
      config: the `data` section.
      spec: the features.
      columns: where their values are.
      split: tells the training examples.
      output: holds catalogue and events; the graph goes there too.
    """

    def build(pipeline: beam.Pipeline) -> None:
        rows = (
            pipeline
            | beam.Create(event_files(output.events), reshuffle=False)
            | beam.Reshuffle()
            | beam.ParDo(_TrainingValues(spec, columns, config, split, output.catalogue))
        )
        transform = (rows, _tensors(spec)) | tft_beam.AnalyzeDataset(
            compile_preprocessing(spec, config.preprocessing)
        )
        _ = transform | tft_beam.WriteTransformFn(str(output.transform))

    scratch = tempfile.TemporaryDirectory(dir=output.path)
    with scratch, tft_beam.Context(temp_dir=scratch.name):
        beams.run(config.beam, build)


class _TrainingValues(beam.DoFn):
    """A file of cleaned events -> record batches of raw values for TensorFlow Transform.

    The values of one row need not belong together: each feature is fitted on its own. So a
    vocabulary that takes every value it sees is given each of a file's values once.
    """

    def __init__(
        self,
        spec: FeatureSpec,
        columns: Columns,
        config: DataConfig,
        split: Split,
        catalogue: Path,
    ) -> None:
        self._spec, self._columns, self._config = spec, columns, config
        self._split, self._path = split, catalogue

    def setup(self) -> None:
        self._catalogue = Catalogue(self._path)

    def process(self, file: Path) -> Iterator[pa.RecordBatch]:
        shard = Shard(file, self._columns, self._catalogue, self._config, self._split)
        view = shard.view(TRAIN)
        rows = shard.of_part(TRAIN)
        places = np.searchsorted(view.rows, rows)
        values = {}
        for name, feature in self._spec.columns.items():
            column = raw_column(view, name, places)
            if _takes_all(feature):
                column = (column.flatten() if pa.types.is_list(column.type) else column).unique()
            values[name] = as_lists(column, feature)
        longest = max(map(len, values.values()))
        for start in range(0, longest, _BATCH_ROWS):
            length = min(_BATCH_ROWS, longest - start)
            yield pa.RecordBatch.from_arrays(
                [_padded(values.get(name), feature, start, length)
                 for name, feature in self._spec.root.items()],
                list(self._spec.root),
            )  # fmt: skip


def _takes_all(feature: Feature) -> bool:
    """Whether a feature's vocabulary holds every training value, however rare."""
    if not isinstance(feature, Categorical | MultiCategorical):
        return False
    return feature.lookup != "vocabulary" or (feature.min_count == 1 and feature.rows is None)


def _padded(values: pa.Array | None, feature: Feature, start: int, length: int) -> pa.Array:
    """A stretch of values, filled up with empty lists, or a vector's zeros, behind the last."""
    empty = [0.0] * feature.dim if isinstance(feature, Vector) else []
    part = values.slice(start, length) if values else pa.array([], _list_type(feature))
    missing = pa.array([empty] * (length - len(part)), _list_type(feature))
    return pa.concat_arrays([part, missing]) if len(missing) else part


def _list_type(feature: Feature) -> pa.DataType:
    if isinstance(feature, Sequence):
        return pa.list_(pa.binary())
    kind = raw_type(feature)
    kind = kind.value_type if pa.types.is_list(kind) else kind
    return pa.list_(pa.binary() if pa.types.is_string(kind) else kind)


def _tensors(spec: FeatureSpec) -> TensorAdapterConfig:
    schema = pa.schema([(name, _list_type(feature)) for name, feature in spec.root.items()])
    group: Mapping = raw_schema(spec).tensor_representation_group[""].tensor_representation
    return TensorAdapterConfig(schema, dict(group))
