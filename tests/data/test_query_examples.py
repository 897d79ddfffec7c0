from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_metadata.proto.v0 import schema_pb2

from tfrec.data.query_examples import RELEVANT_IDS, write_query_examples
from tfrec.data.query_set import QuerySet

IDS = np.array(["sku-a", "sku-b", "sku-c"], object)


@pytest.fixture
def queries(make_queries: Callable[..., QuerySet]) -> QuerySet:
    return make_queries(
        relevant=[[2, 0, 2], [], [1]],
        seen=[[], [], []],
        channel=["web", None, "app"],
        recent=[["a"], [], ["b", "c"]],
        age=[31.5, None, 7.0],
    )


def test_examples_hold_what_a_client_would_send(queries: QuerySet, tmp_path: Path) -> None:
    write_query_examples(queries, IDS, {}, tmp_path / "some" / "queries.tfrecord")

    first, second, third = _read(tmp_path / "some" / "queries.tfrecord")
    assert first["channel"] == [b"web"]
    assert first["recent"] == [b"a", b""]
    assert second["channel"] == [b""]
    assert second["recent"] == [b"", b""]
    assert np.isnan(second["age"]).all()
    assert third["recent"] == [b"b", b"c"]
    assert third["age"] == [7.0]


def test_relevant_items_are_ids_each_once(queries: QuerySet, tmp_path: Path) -> None:
    write_query_examples(queries, IDS, {}, tmp_path / "queries.tfrecord")

    relevant = [one.get(RELEVANT_IDS, []) for one in _read(tmp_path / "queries.tfrecord")]
    assert relevant == [[b"sku-a", b"sku-c"], [], [b"sku-b"]]


def test_other_columns_go_along(queries: QuerySet, tmp_path: Path) -> None:
    others = {"_slice_channel": np.array(["channel=web", "", "channel=app"], object)}

    write_query_examples(queries, IDS, others, tmp_path / "queries.tfrecord")

    found = [one["_slice_channel"] for one in _read(tmp_path / "queries.tfrecord")]
    assert found == [[b"channel=web"], [b""], [b"channel=app"]]


def test_the_schema_reads_single_values_and_lists_of_one_length(
    queries: QuerySet, tmp_path: Path
) -> None:
    schema = write_query_examples(queries, IDS, {}, tmp_path / "queries.tfrecord")

    assert {column.name: column.type for column in schema.feature} == {
        "channel": schema_pb2.BYTES, "recent": schema_pb2.BYTES, "age": schema_pb2.FLOAT,
        RELEVANT_IDS: schema_pb2.BYTES,
    }  # fmt: skip
    tensors = schema.tensor_representation_group[""].tensor_representation
    shapes = {
        name: [dim.size for dim in tensor.dense_tensor.shape.dim]
        for name, tensor in tensors.items()
        if tensor.HasField("dense_tensor")
    }
    assert shapes == {"channel": [], "recent": [2], "age": []}
    assert tensors[RELEVANT_IDS].HasField("varlen_sparse_tensor")


def _read(path: Path) -> list[dict[str, list]]:
    found = []
    for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
        features = tf.train.Example.FromString(record).features.feature
        found.append(
            {
                name: list(value.bytes_list.value or value.float_list.value)
                for name, value in features.items()
            }
        )
    return found
