"""JSON predict requests to arrays, as TensorFlow Serving reads them.

The shape of a value is that of the first element on each level; what does not fit it is refused.
Values are first read level by level, which is fast and knows only good input. Whatever it cannot
read is read again value by value, in the order that decides which of several mistakes is reported.
"""

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import rapidjson
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from tfrec.serving.json_format import format_value
from tfrec.serving.json_values import (
    decode_base64,
    format_error,
    invalid,
    is_base64,
    json_type,
    to_floats,
)
from tfrec.serving.status import ServingError
from tfrec.serving.tensors import numpy_dtype, type_name

TensorInfos = Mapping[str, meta_graph_pb2.TensorInfo]


class PredictInputs(NamedTuple):
    """The inputs of a predict request.

    Attributes:
      arrays: an array for each input that the request gives; strings as object arrays of bytes.
      row_form: whether they came as `instances` and the reply is due as `predictions`.
    """

    arrays: dict[str, np.ndarray]
    row_form: bool


def parse_document(body: bytes) -> dict[str, Any]:
    """Parses a request body, which must be one JSON object; NaN, Inf and Infinity are numbers.

    Raises:
      ServingError: if it is something else.
    """
    if not body:
        raise invalid("JSON Parse error: The document is empty")
    try:
        document = rapidjson.loads(body, number_mode=rapidjson.NM_NAN)
    except UnicodeDecodeError as error:
        raise invalid(
            f"JSON Parse error: Invalid encoding in string. at offset: {error.start}"
        ) from error
    except (ValueError, RecursionError) as error:
        # "Parse error at offset 6: Invalid value."
        place, _, text = str(error).partition(": ")
        offset = place.rpartition(" ")[2]
        if text == _PYTHONS_LIMIT:
            text = "Number too big to be stored in double."
        raise invalid(f"JSON Parse error: {text} at offset: {offset}") from error
    if not isinstance(document, dict):
        raise format_error(document, "Is not object")
    return document


def signature_name(document: dict[str, Any]) -> str:
    """The signature that a request asks for, empty where it leaves that to the server.

    Raises:
      ServingError: if it is not a string.
    """
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise format_error(
            document, "not formatted correctly. 'signature_name' key must be a string value."
        )
    return name


def predict_inputs(document: dict[str, Any], infos: TensorInfos) -> PredictInputs:
    """Reads `instances` or `inputs`, whichever a request has.

    Args:
      document: the request, see `parse_document`.
      infos: the inputs of the signature by name.

    Returns:
      The arrays, and the form they came in.

    Raises:
      ServingError: if a name, type or shape is wrong.
    """
    if not infos:
        name = document.get("signature_name") or "DEFAULT"
        raise invalid(f"Failed to get input map for signature: {name}")
    infos = dict(infos)
    if "instances" in document and "inputs" in document:
        raise format_error(
            document,
            "Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist ",
        )
    if "inputs" in document:
        return PredictInputs(_column_arrays(document["inputs"], infos), row_form=False)
    if "instances" not in document:
        raise invalid("Missing 'inputs' or 'instances' key")
    instances = document["instances"]
    if not isinstance(instances, list):
        raise format_error(document, "Excepting 'instances' to be an list/array")
    if not instances:
        raise format_error(document, "No values in 'instances' array")
    return PredictInputs(_row_arrays(instances, infos), row_form=True)


# What becomes of a whole number with thousands of digits.
_PYTHONS_LIMIT = "Invalid integer value"


def _column_arrays(value: Any, infos: TensorInfos) -> dict[str, np.ndarray]:
    if not isinstance(value, dict) or is_base64(value):
        if len(infos) > 1:
            raise invalid(
                "inputs is a plain value/list, but expecting an object as multiple input tensors"
                " required as per tensorinfo_map"
            )
        ((name, info),) = infos.items()
        return {name: _array(value, info.dtype)}
    for name in infos:
        if name not in value:
            raise invalid(f"Missing named input: {name} in 'inputs' object.")
    return {name: _array(value[name], info.dtype) for name, info in infos.items()}


def _row_arrays(instances: list, infos: TensorInfos) -> dict[str, np.ndarray]:
    if not isinstance(instances[0], dict) and len(infos) > 1:
        raise invalid(
            "instances is a plain list, but expecting list of objects as multiple input tensors"
            " required as per tensorinfo_map"
        )
    if _is_named(instances[0]):
        return _named_rows(instances, infos)
    name = min(infos)
    array = _stack(instances, infos[name].dtype)
    return {name: _plain_rows(instances, infos[name].dtype) if array is None else array}


def _named_rows(instances: list, infos: TensorInfos) -> dict[str, np.ndarray]:
    if all(type(item) is dict and item.keys() == infos.keys() for item in instances):
        arrays = {
            name: _stack([item[name] for item in instances], info.dtype)
            for name, info in infos.items()
        }
        whole = {name: array for name, array in arrays.items() if array is not None}
        if len(whole) == len(arrays):
            return whole
    rows: dict[str, list[np.ndarray]] = {name: [] for name in infos}
    for index, item in enumerate(instances):
        if not _is_named(item):
            raise invalid(f"Expecting object but got list at item {index} of input list")
        for name, value in item.items():
            try:
                if name not in infos:
                    raise invalid(f"JSON object: does not have named input: {name}")
                _append_row(rows[name], value, infos[name].dtype)
            except ServingError as error:
                raise _element_error(index, f" key: {name}", error) from error
        if item.keys() != infos.keys():
            raise invalid(
                f"Failed to process element: {index} of 'instances' list. JSON object:"
                f" {format_value(item)} keys must be equal to: {','.join(sorted(infos))}"
            )
    return {name: np.stack(arrays) for name, arrays in rows.items()}


def _plain_rows(instances: list, dtype: int) -> np.ndarray:
    rows: list[np.ndarray] = []
    for index, item in enumerate(instances):
        if _is_named(item):
            raise invalid(f"Expecting value/list but got object at item {index} of input list")
        try:
            _append_row(rows, item, dtype)
        except ServingError as error:
            raise _element_error(index, "", error) from error
    return np.stack(rows)


def _element_error(index: int, key: str, error: ServingError) -> ServingError:
    return invalid(f"Failed to process element: {index}{key} of 'instances' list. Error: {error}")


def _append_row(rows: list[np.ndarray], value: Any, dtype: int) -> None:
    row = _array(value, dtype)
    if rows and row.size != rows[0].size:
        raise invalid(f"Expecting tensor size: {rows[0].size} but got: {row.size}")
    if rows and row.shape != rows[0].shape:
        raise invalid(
            f"Expecting shape {_shape_text(rows[0].shape)} but got: {_shape_text(row.shape)}"
        )
    rows.append(row)


def _shape_text(shape: tuple[int, ...]) -> str:
    return f"[{','.join(map(str, shape))}]"


def _array(value: Any, dtype: int) -> np.ndarray:
    shape = _shape(value)
    array = _uniform(value, shape, dtype)
    if array is not None:
        return array
    leaves: list = []
    _collect(value, 0, shape, dtype, leaves)
    return _to_array(leaves, dtype).reshape(shape)


def _stack(items: list, dtype: int) -> np.ndarray | None:
    return _uniform(items, (len(items), *_shape(items[0])), dtype)


def _shape(value: Any) -> tuple[int, ...]:
    shape = []
    while isinstance(value, list):
        shape.append(len(value))
        if not value:
            break
        value = value[0]
    if len(shape) > _MAX_DIMENSIONS:
        raise invalid(f"Encountered lists nested to more than {_MAX_DIMENSIONS} dimensions")
    return tuple(shape)


# numpy's own limit, less one for the batch.
_MAX_DIMENSIONS = 31


class _Kind(NamedTuple):
    """What JSON values a tensor type takes, and the array that holds them on the way to it."""

    python_types: frozenset[type]
    wide: type
    low: int = 0
    high: int = 0

    def fits(self, leaves: Iterable) -> bool:
        if not self.python_types.issuperset(map(type, leaves)):
            return False
        return self.high == 0 or all(self.low <= leaf <= self.high for leaf in leaves)


def _integers(bits: int, *, signed: bool, wide: type) -> _Kind:
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    return _Kind(frozenset({int}), wide, low, high)


_FLOATS = _Kind(frozenset({int, float}), np.float64)
# Narrow integers are read as int32 and then wrapped.
_INT32 = _integers(32, signed=True, wide=np.int64)
_KINDS = {
    types_pb2.DT_FLOAT: _FLOATS,
    types_pb2.DT_DOUBLE: _FLOATS,
    types_pb2.DT_INT32: _INT32,
    types_pb2.DT_INT16: _INT32,
    types_pb2.DT_INT8: _INT32,
    types_pb2.DT_UINT8: _INT32,
    types_pb2.DT_INT64: _integers(64, signed=True, wide=np.int64),
    types_pb2.DT_UINT32: _integers(32, signed=False, wide=np.int64),
    types_pb2.DT_UINT64: _integers(64, signed=False, wide=np.uint64),
    types_pb2.DT_BOOL: _Kind(frozenset({bool}), np.bool_),
    types_pb2.DT_STRING: _Kind(frozenset({str}), np.object_),
}


def _uniform(value: Any, shape: tuple[int, ...], dtype: int) -> np.ndarray | None:
    """Reads a value that is right in every respect; None leaves it to the slow way."""
    kind = _KINDS.get(dtype)
    leaves = _flatten(value, shape)
    if kind is None or leaves is None or not kind.fits(leaves):
        return None
    return _to_array(leaves, dtype).reshape(shape)


_LIST = {list}


def _flatten(value: Any, shape: tuple[int, ...]) -> list | None:
    level = [value]
    for size in shape:
        if {*map(type, level)} - _LIST or {*map(len, level)} - {size}:
            return None
        level = list(chain.from_iterable(level))
    return level


def _to_array(leaves: list, dtype: int) -> np.ndarray:
    if dtype == types_pb2.DT_STRING:
        array = np.empty(len(leaves), object)
        array[:] = [leaf.encode() if isinstance(leaf, str) else leaf for leaf in leaves]
        return array
    if _KINDS[dtype] is _FLOATS:
        return to_floats(leaves, numpy_dtype(dtype))
    return np.array(leaves, _KINDS[dtype].wide).astype(numpy_dtype(dtype))


def _collect(value: Any, level: int, shape: tuple[int, ...], dtype: int, leaves: list) -> None:
    """Appends the leaves of `value`, depth first, and refuses the first that is wrong."""
    if not isinstance(value, list):
        if level != len(shape):
            raise format_error(
                value,
                f"found at incorrect level: {level + 1} in the JSON DOM."
                f" Expected at level: {len(shape)}",
            )
        leaves.append(_leaf(value, dtype))
        return
    if level >= len(shape):
        raise invalid(f"Encountered list at unexpected level: {level} expected < {len(shape)}")
    if len(value) != shape[level]:
        raise invalid(
            f"Encountered list at unexpected size: {len(value)} at level: {level}"
            f" expected size: {shape[level]}"
        )
    for item in value:
        _collect(item, level + 1, shape, dtype, leaves)


def _leaf(value: Any, dtype: int) -> Any:
    kind = _KINDS.get(dtype)
    if isinstance(value, dict) and dtype == types_pb2.DT_STRING:
        return decode_base64(value)
    if kind is None and not isinstance(value, dict):
        raise ServingError(
            "UNIMPLEMENTED",
            f"Conversion of JSON Value: {format_value(value)} to type: {type_name(dtype)}",
        )
    if kind is None or not kind.fits([value]):
        raise format_error(
            value, f"Type: {json_type(value)} is not of expected type: {type_name(dtype)}"
        )
    return value


def _is_named(item: Any) -> bool:
    return isinstance(item, dict) and not is_base64(item)
