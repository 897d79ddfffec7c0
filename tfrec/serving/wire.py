"""A PredictResponse's bytes, joined from those of its parts.

The values of an array are, in its memory, what protobuf writes for them one by one, and all that
comes before them is the same for all answers of one shape.
"""

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import model_pb2, predict_pb2

from tfrec.serving.tensors import fill_proto, fill_type_and_shape


def predict_response(
    model: str, version: int, signature: str, outputs: Mapping[str, np.ndarray]
) -> bytes:
    """Serialises a PredictResponse.

    Args:
      model: the model's name.
      version: the version that answers.
      signature: the name of its signature.
      outputs: arrays by output name, as `fill_proto` takes them.

    Returns:
      A message with the values in typed fields.

    Raises:
      KeyError: if no tensor has the type of an array.
    """
    entries = [
        _field(_OUTPUTS, _field(_KEY, name.encode()) + _field(_VALUE, _tensor(array)))
        for name, array in outputs.items()
    ]
    return b"".join(entries) + _model_spec(model, version, signature)


def _number(message: type, field: str) -> int:
    return message.DESCRIPTOR.fields_by_name[field].number  # type: ignore[attr-defined]


_OUTPUTS = _number(predict_pb2.PredictResponse, "outputs")
_KEY, _VALUE = 1, 2
_LITTLE_ENDIAN_VALUES = {
    np.dtype("<f4"): _number(tensor_pb2.TensorProto, "float_val"),
    np.dtype("<f8"): _number(tensor_pb2.TensorProto, "double_val"),
}


def _tensor(array: np.ndarray) -> bytes:
    number = _LITTLE_ENDIAN_VALUES.get(array.dtype)
    if number is None:
        proto = tensor_pb2.TensorProto()
        fill_proto(array, proto)
        return proto.SerializeToString()
    head = _tensor_head(array.dtype, array.shape)
    return head + _field(number, array.tobytes()) if array.size else head


@lru_cache(256)
def _tensor_head(dtype: np.dtype, shape: tuple[int, ...]) -> bytes:
    """Type and shape, which come before the values."""
    proto = tensor_pb2.TensorProto()
    fill_type_and_shape(dtype, shape, proto)
    return proto.SerializeToString()


@lru_cache(256)
def _model_spec(model: str, version: int, signature: str) -> bytes:
    spec = model_pb2.ModelSpec(name=model, signature_name=signature)
    spec.version.value = version
    return predict_pb2.PredictResponse(model_spec=spec).SerializeToString()


def _field(number: int, content: bytes) -> bytes:
    """A field that states its length: a message, text, bytes or packed numbers."""
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    groups = []
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*groups, value])
