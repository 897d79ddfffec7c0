"""Replies as JSON text, laid out as TensorFlow Serving lays them out."""

import base64
import math
from array import array as packed
from collections.abc import Mapping
from typing import Any

import numpy as np
import rapidjson
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    regression_pb2,
)

from tfrec.serving.model_info import SIGNATURE_DEF
from tfrec.serving.status import ServingError


def format_predictions(outputs: Mapping[str, np.ndarray]) -> bytes:
    """The reply to a request in row form: one element a row.

    Args:
      outputs: `[batch, ...]` arrays by output name, strings as object arrays of bytes.

    Returns:
      `{"predictions": [...]}`; with several outputs every row is an object.

    Raises:
      ServingError: if an output has no batch dimension, another batch size than the others, or a
        type that JSON has no form for.
    """
    batch = _batch_size(outputs)
    if len(outputs) == 1:
        ((name, array),) = outputs.items()
        rows = _row_texts(array, name, depth=2)
        listed = f"[{', '.join(rows)}\n{_indent(1)}]" if rows else "[]"
    else:
        columns = {name: _row_texts(array, name, depth=3) for name, array in outputs.items()}
        rows = [
            _object({name: texts[row] for name, texts in columns.items()}, depth=2)
            for row in range(batch)
        ]
        listed = _list(rows, depth=1)
    return _reply("predictions", listed)


def format_outputs(outputs: Mapping[str, np.ndarray]) -> bytes:
    """The reply to a request in column form: one value an output.

    Args:
      outputs: arrays of any shape by output name, strings as object arrays of bytes.

    Returns:
      `{"outputs": ...}`; with several outputs its value is an object.

    Raises:
      ServingError: if an output has a type that JSON has no form for.
    """
    if len(outputs) == 1:
        ((name, array),) = outputs.items()
        value = _column_text(array, name, depth=1)
    else:
        value = _object(
            {name: _column_text(array, name, depth=2) for name, array in outputs.items()}, depth=1
        )
    return _reply("outputs", value)


def format_classifications(result: classification_pb2.ClassificationResult) -> bytes:
    """The reply to a classify request: a list of `[label, score]` an example."""
    scores = [entry.score for row in result.classifications for entry in row.classes]
    texts = iter(_decimals(np.array(scores, np.float32)))
    rows = (
        ", ".join(f"[{_quote(entry.label)}, {next(texts)}]" for entry in row.classes)
        for row in result.classifications
    )
    listed = f"[{', '.join(f'[{row}]' for row in rows)}\n{_indent(1)}]"
    return _reply("results", listed)


def format_regressions(result: regression_pb2.RegressionResult) -> bytes:
    """The reply to a regress request: a value an example."""
    values = np.array([regression.value for regression in result.regressions], np.float32)
    return _reply("results", f"[{', '.join(_decimals(values))}]")


def format_error(message: str) -> bytes:
    """The body of an error reply."""
    return _reply("error", _quote(message))


def format_model_status(response: get_model_status_pb2.GetModelStatusResponse) -> bytes:
    """The body of a model status reply."""
    return _message_text(response).encode()


def format_model_metadata(response: get_model_metadata_pb2.GetModelMetadataResponse) -> bytes:
    """The body of a model metadata reply."""
    signatures = get_model_metadata_pb2.SignatureDefMap()
    response.metadata[SIGNATURE_DEF].Unpack(signatures)
    return (
        f'{{\n"model_spec":{_message_text(response.model_spec)},\n'
        f'"metadata": {{"signature_def": {_message_text(signatures)}}}\n}}\n'
    ).encode()


def format_value(value: Any) -> str:
    """A parsed JSON value as error messages quote it."""
    if isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**64:
        beyond_double = math.inf if value > 0 else -math.inf
        value = float(value) if abs(value) < 2**1023 else beyond_double
    if isinstance(value, float):
        return _decimals(np.array([value], np.float32 if abs(value) < 3.4e38 else np.float64))[0]
    try:
        return rapidjson.dumps(value, indent=4, ensure_ascii=False, number_mode=rapidjson.NM_NAN)
    except RecursionError:
        return _TOO_DEEP


_TOO_DEEP = "(too deeply nested to be shown)"
_ESCAPES = str.maketrans(
    {
        **{chr(code): f"\\u{code:04X}" for code in range(0x20)},
        **{"\b": r"\b", "\t": r"\t", "\n": r"\n", "\f": r"\f", "\r": r"\r"},
        **{'"': r"\"", "\\": r"\\"},
    }
)
_NON_FINITE = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
_FULL_DIGITS = {np.dtype(np.float32): 9, np.dtype(np.float64): 17}
_PLAIN_INTEGERS = frozenset(
    np.dtype(name) for name in ("int8", "int16", "int32", "int64", "uint8", "uint32", "uint64")
)
_TYPE_NAMES = {"float16": "half"}


def _reply(key: str, text: str) -> bytes:
    return f'{{\n{_indent(1)}"{key}": {text}\n}}'.encode("utf-8", "surrogateescape")


def _quote(text: str) -> str:
    return f'"{text.translate(_ESCAPES)}"'


def _indent(depth: int) -> str:
    return " " * (4 * depth)


def _object(members: Mapping[str, str], depth: int) -> str:
    lines = (f"\n{_indent(depth + 1)}{_quote(name)}: {text}" for name, text in members.items())
    return f"{{{','.join(lines)}\n{_indent(depth)}}}"


def _list(texts: list[str], depth: int) -> str:
    if not texts:
        return "[]"
    lines = (f"\n{_indent(depth + 1)}{text}" for text in texts)
    return f"[{','.join(lines)}\n{_indent(depth)}]"


def _batch_size(outputs: Mapping[str, np.ndarray]) -> int:
    batch = -1
    for name, array in outputs.items():
        if array.ndim == 0:
            raise ServingError("INVALID_ARGUMENT", f"Tensor name: {name} has no shape information ")
        if batch not in (-1, len(array)):
            raise ServingError(
                "INVALID_ARGUMENT",
                f"Tensor name: {name} has inconsistent batch size: {len(array)} expecting: {batch}",
            )
        batch = len(array)
    return batch


def _row_texts(array: np.ndarray, name: str, depth: int) -> list[str]:
    """Each row on a single line, nested lists and all."""
    texts = _leaf_texts(array, name, depth + array.ndim - 1)
    for axis in reversed(range(1, array.ndim)):
        texts = [f"[{', '.join(group)}]" for group in _groups(texts, array.shape, axis)]
    return texts


def _column_text(array: np.ndarray, name: str, depth: int) -> str:
    """The whole array, every value on a line of its own."""
    texts = _leaf_texts(array, name, depth + array.ndim)
    for axis in reversed(range(array.ndim)):
        texts = [_list(group, depth + axis) for group in _groups(texts, array.shape, axis)]
    return texts[0]


def _groups(texts: list[str], shape: tuple[int, ...], axis: int) -> list[list[str]]:
    """The texts that share a list whose elements lie along `axis`."""
    size = shape[axis]
    starts = range(0, size * math.prod(shape[:axis]), size) if size else []
    return [texts[start : start + size] for start in starts] or [[]] * math.prod(shape[:axis])


def _leaf_texts(array: np.ndarray, name: str, depth: int) -> list[str]:
    flat = array.ravel()
    if array.dtype in _FULL_DIGITS:
        return _decimals(flat)
    if array.dtype in _PLAIN_INTEGERS:
        return list(map(str, flat.tolist()))
    if array.dtype == bool:
        return ["true" if value else "false" for value in flat.tolist()]
    if array.dtype == object:
        if name.endswith("_bytes"):
            return [_base64_object(value, depth) for value in flat]
        return [_quote(value.decode("utf-8", "surrogateescape")) for value in flat]
    type_name = _TYPE_NAMES.get(array.dtype.name, array.dtype.name)
    raise ServingError(
        "INVALID_ARGUMENT", f"Failed to write JSON value for tensor type: {type_name}"
    )


def _base64_object(value: bytes, depth: int) -> str:
    return _object({"b64": _quote(base64.b64encode(value).decode())}, depth)


def _decimals(values: np.ndarray) -> list[str]:
    """Six digits where they round-trip, else nine (float) or seventeen (double)."""
    numbers = values.tolist()
    full = f".{_FULL_DIGITS[values.dtype]}g"
    short = [f"{number:g}" for number in numbers]
    # Not numpy's, which takes longer to make an array of a few numbers than all the rest does.
    read = packed(values.dtype.char, map(float, short)).tolist()
    texts = [
        text if same == number else format(number, full)
        for text, same, number in zip(short, read, numbers, strict=True)
    ]
    return [
        text if "." in text or "e" in text else _NON_FINITE.get(text, f"{text}.0") for text in texts
    ]


def _message_text(message: Message) -> str:
    return (
        MessageToJson(
            message,
            including_default_value_fields=True,
            preserving_proto_field_name=True,
            indent=1,
            ensure_ascii=False,
        )
        + "\n"
    )
