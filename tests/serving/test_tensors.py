import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2, types_pb2

from tfrec.serving.tensors import fill_proto, from_proto, type_name

ARRAYS = {
    "float": np.array([[1.5, -2.0], [np.inf, 0.1]], np.float32),
    "double": np.array([1e300, -0.1]),
    "int8": np.array([-128, 127], np.int8),
    "uint8": np.array([0, 255], np.uint8),
    "int16": np.array([-32768, 5], np.int16),
    "uint16": np.array([65535], np.uint16),
    "int32": np.array(7, np.int32),
    "int64": np.array([2**62, -(2**62)]),
    "uint32": np.array([2**32 - 1], np.uint32),
    "uint64": np.array([2**64 - 1], np.uint64),
    "bool": np.array([[True], [False]]),
    "half": np.array([1.5, -2.25], np.float16),
    "bfloat16": np.array([1.5, -2.25], ml_dtypes.bfloat16),
    "complex64": np.array([1 + 2j, -3j], np.complex64),
    "complex128": np.array([[1 + 2j]], np.complex128),
    "string": np.array([[b"a\x00", b""], [b"\xff", "ü".encode()]], object),
    "empty": np.zeros((0, 3), np.float32),
}


def proto_of(array: np.ndarray) -> tensor_pb2.TensorProto:
    proto = tensor_pb2.TensorProto()
    fill_proto(array, proto)
    return proto


@pytest.mark.parametrize("array", ARRAYS.values(), ids=ARRAYS.keys())
def test_array_comes_back_from_its_proto(array):
    back = from_proto(proto_of(array))

    assert back.dtype == array.dtype
    assert back.shape == array.shape
    assert back.tolist() == array.tolist()


@pytest.mark.parametrize("array", ARRAYS.values(), ids=ARRAYS.keys())
def test_proto_is_read_by_tensorflow(array):
    proto = proto_of(array)

    assert not proto.tensor_content
    assert proto.HasField("tensor_shape")
    np.testing.assert_array_equal(tf.make_ndarray(proto), array)


@pytest.mark.parametrize("name", [name for name in ARRAYS if name not in ("string", "empty")])
def test_tensor_content_is_read(name):
    array = ARRAYS[name]
    proto = tensor_pb2.TensorProto(
        dtype=tf.as_dtype(array.dtype).as_datatype_enum, tensor_content=array.tobytes()
    )
    proto.tensor_shape.CopyFrom(tf.TensorShape(array.shape).as_proto())

    assert from_proto(proto).tolist() == array.tolist()


def test_strings_in_tensor_content_are_read():
    long = b"x" * 300
    content = bytes([2, 0, 0xAC, 0x02]) + b"ab" + long
    proto = tensor_pb2.TensorProto(dtype=types_pb2.DT_STRING, tensor_content=content)
    proto.tensor_shape.dim.add().size = 3

    assert from_proto(proto).tolist() == [b"ab", b"", long]


def test_missing_values_repeat_the_last_one():
    proto = tensor_pb2.TensorProto(dtype=types_pb2.DT_INT32, int_val=[1, 2])
    proto.tensor_shape.dim.add().size = 4
    strings = tensor_pb2.TensorProto(dtype=types_pb2.DT_STRING, string_val=[b"a\x00"])
    strings.tensor_shape.dim.add().size = 2

    assert from_proto(proto).tolist() == [1, 2, 2, 2]
    assert from_proto(strings).tolist() == [b"a\x00", b"a\x00"]


@pytest.mark.parametrize("dtype", ["DT_FLOAT", "DT_STRING"])
@pytest.mark.parametrize("sizes", [[2**31], [2**20, 2**20], [2**62, 2**62]])
def test_small_message_does_not_become_a_huge_tensor(dtype, sizes):
    proto = tensor_pb2.TensorProto(dtype=dtype, float_val=[1.0], string_val=[b"x"])
    for size in sizes:
        proto.tensor_shape.dim.add().size = size

    with pytest.raises(ValueError, match="1 values for a shape of"):
        from_proto(proto)


def test_no_value_means_zeros():
    proto = tensor_pb2.TensorProto(dtype=types_pb2.DT_FLOAT)
    proto.tensor_shape.dim.add().size = 2

    assert from_proto(proto).tolist() == [0.0, 0.0]


def test_integers_wrap_into_a_narrow_type():
    proto = tensor_pb2.TensorProto(dtype=types_pb2.DT_UINT8, int_val=[257])
    proto.tensor_shape.dim.add().size = 1

    assert from_proto(proto).tolist() == [1]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"dtype": types_pb2.DT_RESOURCE}, "type resource"),
        ({"dtype": types_pb2.DT_INVALID}, "type invalid"),
        ({"dtype": types_pb2.DT_FLOAT, "tensor_content": b"abc"}, "3 bytes for 1 values"),
        ({"dtype": types_pb2.DT_STRING, "tensor_content": b"\x80"}, "lengths of its strings"),
        ({"dtype": types_pb2.DT_STRING, "tensor_content": b"\x05ab"}, "bytes that its lengths"),
    ],
)
def test_broken_tensor_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        from_proto(tensor_pb2.TensorProto(**fields))


def test_unknown_shape_is_refused():
    unknown_rank = tensor_pb2.TensorProto(dtype=types_pb2.DT_FLOAT)
    unknown_rank.tensor_shape.unknown_rank = True
    unknown_size = tensor_pb2.TensorProto(dtype=types_pb2.DT_FLOAT)
    unknown_size.tensor_shape.dim.add().size = -1

    for proto in (unknown_rank, unknown_size):
        with pytest.raises(ValueError, match="not fully known"):
            from_proto(proto)


def test_type_names_are_those_of_tensorflow():
    names = [type_name(d) for d in (types_pb2.DT_HALF, types_pb2.DT_FLOAT, types_pb2.DT_DOUBLE)]

    assert names == ["half", "float", "double"]
