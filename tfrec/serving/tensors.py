"""numpy arrays to and from `TensorProto`.

The fields are filled by hand: `tf.make_tensor_proto` takes four times as long on the few numbers
of an online request. String tensors are object arrays of `bytes`.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2, tensor_shape_pb2, types_pb2


def from_proto(proto: tensor_pb2.TensorProto) -> np.ndarray:
    """The array that `proto` holds, in typed fields or in `tensor_content`.

    Fewer values than the shape has room for repeat the last one, and no value at all means zeros.
    More than a million are not made up like that: a message of a few bytes could fill the memory.

    Args:
      proto: a tensor of any numeric type, bool or string.

    Returns:
      An array of the shape and type that `proto` states; strings as an object array of `bytes`.

    Raises:
      ValueError: if type, shape and values do not make a tensor.
    """
    layout = _LAYOUTS.get(proto.dtype)
    if layout is None:
        raise ValueError(f"tensors of type {type_name(proto.dtype)} are not supported")
    shape = _shape(proto.tensor_shape)
    count = math.prod(shape)
    if content := proto.tensor_content:
        flat = _from_content(content, layout, count)
    else:
        flat = _from_values(getattr(proto, layout.field), layout, count)
    return flat.reshape(shape)


def fill_proto(array: np.ndarray, proto: tensor_pb2.TensorProto) -> None:
    """Writes `array` into the empty `proto`, values in the typed field of its type.

    Args:
      array: any numeric type, bool, or an object array of `bytes`.
      proto: an empty message, e.g. `response.outputs[name]`.

    Raises:
      KeyError: if no tensor has the type of `array`.
    """
    fill_type_and_shape(array.dtype, array.shape, proto)
    layout = _LAYOUTS[proto.dtype]
    flat = array.ravel()
    if layout.stored != layout.dtype:
        flat = flat.view(layout.stored)
    getattr(proto, layout.field).extend(flat.tolist())


def fill_type_and_shape(
    dtype: np.dtype, shape: Sequence[int], proto: tensor_pb2.TensorProto
) -> None:
    """Does what `fill_proto` does, but for the values."""
    proto.dtype = _ENUMS[dtype]
    proto.tensor_shape.SetInParent()
    for size in shape:
        proto.tensor_shape.dim.add().size = size


def type_name(dtype: int) -> str:
    """The name that TensorFlow's messages use for a `DataType`, e.g. `float` for DT_FLOAT."""
    return types_pb2.DataType.Name(dtype).removeprefix("DT_").lower()


@lru_cache
def numpy_dtype(dtype: int) -> np.dtype:
    """The element type of the arrays that stand for a `DataType`; object for DT_STRING."""
    return np.dtype(tf.as_dtype(dtype).as_numpy_dtype)


class _Layout(NamedTuple):
    """How a `TensorProto` stores one type: half as integers, complex as pairs of floats."""

    field: str
    dtype: np.dtype
    stored: np.dtype


_FIELDS = {
    types_pb2.DT_FLOAT: "float_val",
    types_pb2.DT_DOUBLE: "double_val",
    types_pb2.DT_INT32: "int_val",
    types_pb2.DT_INT16: "int_val",
    types_pb2.DT_INT8: "int_val",
    types_pb2.DT_UINT8: "int_val",
    types_pb2.DT_UINT16: "int_val",
    types_pb2.DT_INT64: "int64_val",
    types_pb2.DT_UINT32: "uint32_val",
    types_pb2.DT_UINT64: "uint64_val",
    types_pb2.DT_BOOL: "bool_val",
    types_pb2.DT_STRING: "string_val",
    types_pb2.DT_HALF: "half_val",
    types_pb2.DT_BFLOAT16: "half_val",
    types_pb2.DT_COMPLEX64: "scomplex_val",
    types_pb2.DT_COMPLEX128: "dcomplex_val",
}
_STORED = {"half_val": np.uint16, "scomplex_val": np.float32, "dcomplex_val": np.float64}
# On the wire these are int32, whatever the width of the type: a value is wrapped, not refused.
_WIDE = {"int_val": np.int32, "half_val": np.int32}


def _layout(dtype: int, field: str) -> _Layout:
    element = numpy_dtype(dtype)
    return _Layout(field, element, np.dtype(_STORED.get(field, element)))


_LAYOUTS = {dtype: _layout(dtype, field) for dtype, field in _FIELDS.items()}
_ENUMS = {layout.dtype: dtype for dtype, layout in _LAYOUTS.items()}


def _shape(proto: tensor_shape_pb2.TensorShapeProto) -> tuple[int, ...]:
    shape = tuple([dim.size for dim in proto.dim])
    if proto.unknown_rank or min(shape, default=0) < 0:
        raise ValueError("the shape is not fully known")
    return shape


_MOST_MADE_UP = 2**20


def _from_values(values: Sequence, layout: _Layout, count: int) -> np.ndarray:
    if count - len(values) > _MOST_MADE_UP:
        raise ValueError(f"{len(values)} values for a shape of {count}")
    if layout.dtype == object:
        filler = values[-1] if values else b""
        return _object_array([*values[:count], *[filler] * (count - len(values))])
    wide = _WIDE.get(layout.field, layout.stored)
    flat = np.fromiter(values, wide, len(values))
    if wide != layout.dtype:
        flat = flat.astype(layout.stored).view(layout.dtype)
    if len(flat) >= count:
        return flat[:count]
    padded = np.full(count, flat[-1] if len(flat) else 0, layout.dtype)
    padded[: len(flat)] = flat
    return padded


def _from_content(content: bytes, layout: _Layout, count: int) -> np.ndarray:
    if layout.dtype == object:
        return _object_array(_split_strings(content, count))
    if len(content) != count * layout.dtype.itemsize:
        raise ValueError(f"tensor_content has {len(content)} bytes for {count} values")
    return np.frombuffer(content, layout.dtype)


def _split_strings(content: bytes, count: int) -> list[bytes]:
    """Splits `count` varint lengths followed by the strings themselves."""
    lengths, offset = [], 0
    for _ in range(count):
        length = shift = 0
        while True:
            if offset == len(content):
                raise ValueError("tensor_content ends within the lengths of its strings")
            byte = content[offset]
            offset += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        lengths.append(length)
    if offset + sum(lengths) != len(content):
        raise ValueError("tensor_content does not have the bytes that its lengths state")
    strings = []
    for length in lengths:
        strings.append(content[offset : offset + length])
        offset += length
    return strings


def _object_array(values: list[bytes]) -> np.ndarray:
    array = np.empty(len(values), object)
    array[:] = values
    return array
