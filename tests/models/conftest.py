"""A transform of features of every kind, and what it makes of twelve rows."""

import pyarrow as pa
import pytest
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam
from every_kind import CONTENT, ROWS, Fitted, raw_column
from tfx_bsl.public.tfxio import TensorAdapterConfig

from tfrec.config import validate
from tfrec.features import FeatureSpec
from tfrec.features.schema import raw_schema
from tfrec.features.transform import preprocessing_fn


@pytest.fixture(scope="session")
def every_kind() -> FeatureSpec:
    return validate(FeatureSpec, CONTENT)


@pytest.fixture(scope="session")
def fitted(every_kind: FeatureSpec, tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    schema = raw_schema(every_kind)
    batch = pa.RecordBatch.from_arrays(
        [raw_column(column.type, ROWS[column.name]) for column in schema.feature],
        [column.name for column in schema.feature],
    )
    tensors = schema.tensor_representation_group[""].tensor_representation
    data = [batch], TensorAdapterConfig(batch.schema, dict(tensors))
    folder = tmp_path_factory.mktemp("fitted")
    with tft_beam.Context(temp_dir=str(folder / "scratch")):
        (transformed, _), graph = data | tft_beam.AnalyzeAndTransformDataset(
            preprocessing_fn(every_kind), output_record_batches=True
        )
        _ = graph | tft_beam.WriteTransformFn(str(folder / "transform"))
    rows = pa.Table.from_batches([batch for batch, _ in transformed]).to_pydict()
    return Fitted(tft.TFTransformOutput(str(folder / "transform")), rows)
