"""Features of every kind, twelve raw rows of them, and the forms that raw rows take."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa
import tensorflow as tf
import tensorflow_transform as tft
from tensorflow_metadata.proto.v0 import schema_pb2

from tfrec.features import Feature, MultiCategorical, Numeric, Vector
from tfrec.features import Sequence as SequenceFeature

USER, ITEM, CONTEXT = ({"role": role} for role in ("user", "item", "context"))
CATEGORY = {"kind": "categorical", "embedding": 4}
NUMBER = {"kind": "numeric"}

CONTENT: dict[str, dict[str, Any]] = {
    "shopper": {**USER, **CATEGORY, "min_count": 2, "unknown_rows": 3},
    "recent_skus": {**USER, "kind": "sequence", "of": "sku", "last": 5},
    "recent_brands": {**USER, "kind": "sequence", "of": "brand", "last": 3, "within": "session"},
    "age": {**USER, **NUMBER, "transform": "bucketise", "buckets": 4, "embedding": 2, "min": 0},
    "sku": {**ITEM, **CATEGORY, "rows": 2},
    "brand": {**ITEM, **CATEGORY, "lookup": "hash", "rows": 50, "unknown_rows": 2},
    "shelf": {**ITEM, **CATEGORY, "lookup": "identity", "rows": 10, "unknown_rows": 3},
    "tags": {**ITEM, "kind": "multi_categorical", "embedding": 3, "min_count": 2, "separator": "|"},
    "colours": {**ITEM, "kind": "multi_categorical", "embedding": 3, "lookup": "hash", "rows": 20},
    "price": {**ITEM, **NUMBER, "transform": "log", "min": 0, "max": 1000},
    "grams": {**ITEM, **NUMBER},
    "stock": {**ITEM, **NUMBER, "transform": "none"},
    "constant": {**ITEM, **NUMBER},
    "flat": {**ITEM, **NUMBER, "transform": "bucketise", "buckets": 3, "embedding": 2},
    "title": {**ITEM, "kind": "text", "embedding": 4, "rows": 64},
    "image": {**ITEM, "kind": "vector", "dim": 3},
    "weekday": {**CONTEXT, **CATEGORY},
    "bought": {"role": "label", **NUMBER},
    "importance": {"role": "weight", **NUMBER, "min": 0},
    "at": {"role": "time", **NUMBER, "min": 1_600_000_000},
}

Rows = Mapping[str, Sequence[Any]]

ROWS: Rows = {
    "shopper": ["u1", "u2", "u1", "u3", "u2", "u1", "u1", None, "u2", "u1", "u2", "u4"],
    "recent_skus": [["a", "b"], ["a"], [], ["z", "c", "a", "a", "b"], *([[]] * 8)],
    "recent_brands": [["acme"], [], ["acme", "éclair", "new"], *([[]] * 9)],
    "age": [18, 20, 22, 30, 31, 33, None, 40, 41, 45, 60, 80],
    "sku": ["a", "a", "a", "a", "b", "b", "b", "c", "c", "d", None, "a"],
    "brand": ["acme", "éclair", None, "acme", "b", "c", "d", "e", "f", "g", "h", "i"],
    "shelf": ["0", "9", "10", "-1", "3.0", "three", "9" * 30, None, "007", " 5", "5", "+5"],
    "tags": [["x", "y"], ["x"], [], ["z", "y"], ["x", "rare"], *([["x"]] * 7)],
    "colours": [["red", "blue"], [], ["red"], *([["green"]] * 9)],
    "price": [0, 1, 10, None, 999.5, 3.25, 7, 7, 7, 20, 50, 100],
    "grams": [100, 250, None, -50, 500, 500, 500, 1000, 1.5, 0, 20, 30],
    "stock": [3, None, -2.5, 1e9, 0, 1, 2, 3, 4, 5, 6, 7],
    "constant": [7.5] * 11 + [None],
    "flat": [2] * 11 + [None],
    "title": [
        "Red  RED shoes!",
        "",
        None,
        "Crème-brûlée (200g)",
        "...",
        "Ünïcode ÉTÉ 靴",
        *(["one"] * 6),
    ],
    "image": [[number, 0.5, -number] for number in range(12)],
    "weekday": ["Monday", "Sunday"] * 6,
    "bought": [1, 0] * 6,
    "importance": [0.5, 2, 1] * 4,
    "at": [1_600_000_000 + number for number in range(11)] + [4_000_000_000],
}
"""Raw values by row: a list where a row may have several, None where there is none."""


class Fitted(NamedTuple):
    """A transform fitted on raw rows.

    Attributes:
      transform: the fitted graph.
      rows: what TensorFlow Transform made of them: name -> a list for each row.
    """

    transform: tft.TFTransformOutput
    rows: dict[str, list[list]]


def raw_column(kind: int, values: Sequence[Any]) -> pa.Array:
    """Lists of the values of each row, as the schema types them."""
    types = {
        schema_pb2.BYTES: pa.binary(),
        schema_pb2.FLOAT: pa.float32(),
        schema_pb2.INT: pa.int64(),
    }
    several = [[] if v is None else v if isinstance(v, list) else [v] for v in values]
    if kind == schema_pb2.BYTES:
        several = [[value.encode() for value in row] for row in several]
    return pa.array(several, pa.list_(types[kind]))


def as_sent(feature: Feature, values: Sequence[Any]) -> tf.Tensor:
    """A client's tensor: rows of several values are filled up, missing ones are "" or NaN."""
    if isinstance(feature, MultiCategorical | SequenceFeature):
        width = max(map(len, values))
        return tf.constant([row + [""] * (width - len(row)) for row in values], tf.string)
    if isinstance(feature, Numeric):
        if feature.role == "time":
            return tf.constant(values, tf.int64)
        return tf.constant([float("nan") if v is None else v for v in values], tf.float32)
    if isinstance(feature, Vector):
        return tf.constant(values, tf.float32)
    return tf.constant([value or "" for value in values])


def to_lists(column: tf.Tensor | tf.SparseTensor) -> list[list]:
    if isinstance(column, tf.SparseTensor):
        return tf.RaggedTensor.from_sparse(column).to_list()
    return tf.reshape(column, [tf.shape(column)[0], -1]).numpy().tolist()
