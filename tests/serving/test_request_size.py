import numpy as np
import pytest
from tensorflow.core.protobuf import meta_graph_pb2

from tfrec.serving.loaded_signature import LoadedSignature
from tfrec.serving.request_size import request_size


@pytest.fixture
def signature() -> LoadedSignature:
    proto = meta_graph_pb2.SignatureDef()
    for name in ("k", "x"):
        proto.inputs[name].name = f"{name}:0"
    return LoadedSignature.of(proto)


def inputs(rows: int, columns: int, k: int = 10) -> dict[str, np.ndarray]:
    return {"x": np.empty((rows, columns), object), "k": np.array(k, np.int32)}


def test_size_is_of_each_dimension_and_of_single_whole_numbers(signature):
    assert request_size(signature, inputs(3, 40, k=9)) == ((4,), (2, 6))


@pytest.mark.parametrize("larger", [inputs(2, 8), inputs(1, 16), inputs(1, 8, 20), inputs(16, 0)])
def test_size_is_another_when_any_number_doubles(signature, larger):
    assert request_size(signature, larger) != request_size(signature, inputs(1, 8))


def test_size_does_not_depend_on_the_order(signature):
    given = inputs(3, 40)

    assert request_size(signature, dict(reversed(given.items()))) == request_size(signature, given)


def test_single_numbers_of_other_types_are_of_one_size(signature):
    sizes = {
        request_size(signature, {"x": np.array(x)}) for x in (1.0, 1000.0, b"a", b"abcdef", True)
    }

    assert sizes == {((),)}
