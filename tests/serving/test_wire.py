import numpy as np
import pytest
from tensorflow_serving.apis import predict_pb2

from tfrec.serving.tensors import fill_proto
from tfrec.serving.wire import predict_response

ARRAYS = {
    "floats": np.array([[1.5, -0.0, np.nan], [np.inf, 1e-45, 3e38]], np.float32),
    "doubles": np.array([0.1, -np.inf]),
    "one": np.float32(2.5).reshape(()),
    "none": np.empty((0, 4), np.float32),
    "many": np.arange(10_000, dtype=np.float32).reshape(100, 100),
    "every other": np.arange(10, dtype=np.float32)[::2],
    "turned": np.arange(6, dtype=np.float64).reshape(2, 3).T,
    "halves": np.array([1, 2], np.float16),
    "integers": np.array([[-1, 2**40]]),
    "small": np.array([200], np.uint8),
    "truths": np.array([True, False]),
    "texts": np.array([b"a", b"\xff" * 200], object),
    "pairs": np.array([1 + 2j], np.complex64),
}


def by_protobuf(outputs: dict[str, np.ndarray]) -> predict_pb2.PredictResponse:
    response = predict_pb2.PredictResponse()
    response.model_spec.name = "tiny"
    response.model_spec.version.value = 3
    response.model_spec.signature_name = "serving_default"
    for name, array in outputs.items():
        fill_proto(array, response.outputs[name])
    return response


@pytest.mark.parametrize("name", ARRAYS)
def test_bytes_are_those_of_protobuf(name):
    outputs = {name: ARRAYS[name]}

    message = predict_response("tiny", 3, "serving_default", outputs)

    assert message == by_protobuf(outputs).SerializeToString()


def test_outputs_come_together():
    message = predict_response("tiny", 3, "serving_default", ARRAYS)

    expected = by_protobuf(ARRAYS)
    response = predict_pb2.PredictResponse.FromString(message)
    assert response.model_spec == expected.model_spec
    assert response.outputs.keys() == ARRAYS.keys()
    for name, tensor in response.outputs.items():
        assert tensor.SerializeToString() == expected.outputs[name].SerializeToString()


def test_type_without_a_tensor_is_refused():
    with pytest.raises(KeyError):
        predict_response("tiny", 3, "", {"y": np.array(["2020-01-01"], "datetime64[D]")})
