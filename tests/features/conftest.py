"""A spec of every kind, and both ways of raw rows through the transform that it compiles to."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
import pytest
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam
from every_kind import CONTENT, ROWS, Fitted, Rows, as_sent, raw_column, to_lists
from tfx_bsl.public.tfxio import TensorAdapterConfig

from tfrec.config import validate
from tfrec.features import FeatureSpec
from tfrec.features.schema import raw_schema
from tfrec.features.signature import sparse_inputs
from tfrec.features.transform import preprocessing_fn


@pytest.fixture(scope="session")
def spec() -> FeatureSpec:
    """A spec with every kind, lookup, transform and role."""
    return validate(FeatureSpec, CONTENT)


@pytest.fixture(scope="session")
def fit_spec(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[FeatureSpec, Rows], Fitted]:
    """Fits the transform on raw rows, and transforms them, as TensorFlow Transform does on Beam."""

    def run(spec: FeatureSpec, raw: Rows) -> Fitted:
        schema = raw_schema(spec)
        batch = pa.RecordBatch.from_arrays(
            [raw_column(column.type, raw[column.name]) for column in schema.feature],
            [column.name for column in schema.feature],
        )
        representations = schema.tensor_representation_group[""].tensor_representation
        config = TensorAdapterConfig(batch.schema, dict(representations))
        folder = tmp_path_factory.mktemp("fitted")
        with tft_beam.Context(temp_dir=str(folder / "scratch")):
            (data, _), function = ([batch], config) | tft_beam.AnalyzeAndTransformDataset(
                preprocessing_fn(spec), output_record_batches=True
            )
            _ = function | tft_beam.WriteTransformFn(str(folder / "transform"))
        rows = pa.Table.from_batches([transformed for transformed, _ in data]).to_pydict()
        return Fitted(tft.TFTransformOutput(str(folder / "transform")), rows)

    return run


@pytest.fixture(scope="session")
def fit(
    spec: FeatureSpec, fit_spec: Callable[[FeatureSpec, Rows], Fitted]
) -> Callable[[Rows], Fitted]:
    """Fits the transform of the spec of every kind."""
    return functools.partial(fit_spec, spec)


@pytest.fixture(scope="session")
def fitted(fit: Callable[[Rows], Fitted]) -> Fitted:
    return fit(ROWS)


@pytest.fixture(scope="session")
def serve(spec: FeatureSpec, fitted: Fitted) -> Callable[..., dict[str, list[list]]]:
    """Sends raw rows through the graph as a server does: name -> a list for each row."""
    layer = fitted.transform.transform_features_layer()

    def run(**raw: Sequence[Any]) -> dict[str, list[list]]:
        inputs = {name: as_sent(spec[name], values) for name, values in raw.items()}
        return {name: to_lists(column) for name, column in layer(sparse_inputs(inputs)).items()}

    return run
