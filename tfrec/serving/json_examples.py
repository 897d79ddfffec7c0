"""JSON classify and regress requests to `tf.train.Example`s, as TensorFlow Serving reads them.

A feature is a value or a list of values: whole numbers and booleans are int64, decimal numbers
float, strings and base64 bytes. All values of a feature are of one kind.
"""

from typing import Any

import numpy as np
from tensorflow.core.example import example_pb2, feature_pb2
from tensorflow_serving.apis import input_pb2

from tfrec.serving.json_values import (
    decode_base64,
    format_error,
    invalid,
    is_base64,
    json_type,
    to_floats,
)


def read_examples(document: dict[str, Any]) -> input_pb2.Input:
    """Reads `examples`, and `context` where a request has one.

    Args:
      document: the request, see `json_parse.parse_document`.

    Returns:
      The examples; the context's features belong to each of them.

    Raises:
      ServingError: if `examples` is missing or empty, or a feature cannot be read.
    """
    result = input_pb2.Input()
    examples = result.example_list
    if "context" in document:
        examples = result.example_list_with_context
        examples.SetInParent()
        _fill_example(document["context"], examples.context)
    for value in _example_values(document):
        _fill_example(value, examples.examples.add())
    return result


def _example_values(document: dict[str, Any]) -> list:
    if "examples" not in document:
        raise format_error(
            document, "When method is classify, key 'examples' is expected and was not found"
        )
    values = document["examples"]
    if not isinstance(values, list):
        raise format_error(document, "Expecting 'examples' value to be an list/array")
    if not values:
        raise format_error(document, "'examples' value is an empty array")
    return values


def _fill_example(value: Any, example: example_pb2.Example) -> None:
    if not isinstance(value, dict):
        raise invalid(f"Example must be JSON object but got JSON {json_type(value)}")
    for name, content in value.items():
        values = content if isinstance(content, list) else [content]
        _fill_feature(name, values, example.features.feature[name])


def _fill_feature(name: str, values: list, feature: feature_pb2.Feature) -> None:
    kind = _common_kind(name, values)
    if kind == "int64":
        if max(values) >= 2**63:
            raise invalid(f"Feature: {name} has uint64 element. Only int64 is supported.")
        feature.int64_list.value.extend(map(int, values))
    elif kind == "float":
        feature.float_list.value.extend(to_floats(values, np.float32))
    elif kind == "bytes":
        feature.bytes_list.value.extend(map(_to_bytes, values))


_KINDS = {bool: "int64", int: "int64", float: "float", str: "bytes"}


def _common_kind(name: str, values: list) -> str | None:
    common = None
    for value in values:
        kind = _kind(name, value)
        if common not in (None, kind):
            raise invalid(f"Unexpected element type in feature: {name} expecting type: {common}")
        common = kind
    return common


def _kind(name: str, value: Any) -> str:
    if is_base64(value):
        return "bytes"
    kind = _KINDS.get(type(value))
    if kind is None:
        raise invalid(f"Feature: {name} has element with unexpected JSON type: {json_type(value)}")
    if kind == "int64" and not -(2**63) <= value < 2**64:
        return "float"
    return kind


def _to_bytes(value: str | dict[str, Any]) -> bytes:
    return value.encode() if isinstance(value, str) else decode_base64(value)
