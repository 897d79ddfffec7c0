import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
import tensorflow_transform as tft
from busy_shop import spec_of
from every_kind import as_sent, to_lists

from tfrec.data.casting import raw_type
from tfrec.data.lookup import Lookup
from tfrec.data.prepared import PreparedData
from tfrec.features.signature import sparse_inputs

VALUES = {
    "device": ["phone", "never seen", None, "phone", ""],
    "visitor": ["visitor-01", "visitor-02", None, "visitor-01", "ü"],
    "tags": [["new", "sale"], [], ["new"], ["a", "b"], []],
    "price": [1.5, None, 0.0, 1.5, 99.0],
    "title": ["Red shoes", "", "red SHOES", "x", "Red shoes"],
    "image": [[1.0, 2.0], [0.0, 0.0], [3.5, -1.0], [1.0, 2.0], [0.0, 1.0]],
}


@pytest.fixture(scope="module")
def look_up(busy: PreparedData) -> Lookup:
    return Lookup(spec_of(), busy.transform)


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("batch_rows", [2, 1000])
def test_column_is_transformed_as_the_graph_does(
    look_up: Lookup,
    busy: PreparedData,
    name: str,
    batch_rows: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tfrec.data.lookup._BATCH_ROWS", batch_rows)
    feature = spec_of()[name]
    layer = tft.TFTransformOutput(str(busy.transform)).transform_features_layer()
    expected = to_lists(layer(sparse_inputs({name: as_sent(feature, VALUES[name])}))[name])

    found = look_up(name, pa.array(VALUES[name], raw_type(feature)))

    rows = [value if isinstance(value, list) else [value] for value in found.to_pylist()]
    assert rows == expected


@pytest.mark.parametrize("values", [[None, None], [None, [1.0, 2.0]]])
def test_missing_vectors_are_zeros(look_up: Lookup, values: list) -> None:
    found = look_up("image", pa.array(values, pa.list_(pa.float32())))

    assert found.to_pylist() == [value or [0.0, 0.0] for value in values]


def test_number_that_is_missing_is_the_mean(look_up: Lookup) -> None:
    assert look_up("price", pa.array([None, None], pa.float32())).to_pylist() == [0.0, 0.0]


def test_label_and_weight_stay_as_they_are(look_up: Lookup) -> None:
    column = pa.array([1.5, 2.5], pa.float32())

    assert look_up("stars", column) is column
    assert look_up("importance", column) is column


def test_each_distinct_string_is_looked_up_once(
    look_up: Lookup, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    run = look_up._run
    monkeypatch.setattr(
        look_up, "_run", lambda name, column: asked.append(len(column)) or run(name, column)
    )

    found = look_up("visitor", pa.array(["a", "b"] * 500))

    assert asked == [2]
    assert len(np.unique(found)) == 2
    assert found.type == pa.from_numpy_dtype(tf.int64.as_numpy_dtype)
