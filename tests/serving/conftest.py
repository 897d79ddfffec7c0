import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import grpc
import pytest
import tensorflow as tf
from example_model import write_example_model
from tensorflow_serving.apis import (
    predict_pb2,
    prediction_log_pb2,
    prediction_service_pb2_grpc,
)

from tfrec.serving import ModelServer

FLOATS = tf.TensorSpec([None], tf.float32, name="x")


class TinyModel(tf.Module):
    """A model of every type that the server has a way with."""

    def __init__(self, plus: float) -> None:
        super().__init__()
        self.half = tf.Variable(0.5)
        self.plus = tf.Variable(plus)

    @tf.function(input_signature=[FLOATS])
    def half_plus(self, x):
        return {"y": self.half * x + self.plus}

    @tf.function(
        input_signature=[
            tf.TensorSpec([None], tf.string, name="name"),
            tf.TensorSpec([None], tf.int64, name="count"),
            tf.TensorSpec([None, 2], tf.float64, name="weights"),
        ]
    )
    def mixed(self, name, count, weights):
        return {
            "greeting": tf.strings.join(["hello ", name]),
            "name_bytes": tf.expand_dims(name, 1),
            "doubled": 2 * count,
            "total": tf.reduce_sum(weights, axis=1),
            "many": count > 1,
            "weights": weights,
        }

    @tf.function(input_signature=[FLOATS])
    def awkward(self, x):
        return {
            "column": tf.expand_dims(x, 1),
            "scalar": tf.reduce_sum(x),
            "twice": tf.concat([x, x], axis=0),
        }

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float16, name="x")])
    def half_precision(self, x):
        return {"y": x + tf.constant(1, tf.float16)}

    @tf.function(input_signature=[tf.TensorSpec([], tf.int64, name="k")])
    def numbers(self, k):
        return {"numbers": tf.range(k)}

    @tf.function(input_signature=[tf.TensorSpec([], tf.int64, name="steps")])
    def slow(self, steps):
        done = tf.while_loop(lambda i: i < steps, lambda i: [i + 1], [tf.constant(0, tf.int64)])
        return {"done": done[0] if isinstance(done, list) else done}


@pytest.fixture(scope="session")
def saved_models(tmp_path_factory: pytest.TempPathFactory) -> dict[float, Path]:
    """Directories of a SavedModel that adds 2 and of one that adds 3."""
    root = tmp_path_factory.mktemp("saved_models")
    for plus in (2.0, 3.0):
        model = TinyModel(plus)
        signatures = {
            "serving_default": model.half_plus,
            "mixed": model.mixed,
            "awkward": model.awkward,
            "half_precision": model.half_precision,
            "numbers": model.numbers,
            "slow": model.slow,
        }
        tf.saved_model.save(model, str(root / str(plus)), signatures=signatures)
    return {plus: root / str(plus) for plus in (2.0, 3.0)}


@pytest.fixture(scope="session")
def example_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The version directory of a model that takes examples."""
    return write_example_model(tmp_path_factory.mktemp("examples") / "1")


@pytest.fixture
def push(saved_models: dict[float, Path], tmp_path: Path) -> Callable[..., Path]:
    """Puts a version of the model below a base path, whole at once."""

    def write(base_path: Path, version: str, plus: float = 2.0, warmup: Iterable = ()) -> Path:
        unfinished = tmp_path / f"unfinished-{base_path.name}-{version}"
        shutil.copytree(saved_models[plus], unfinished)
        if warmup:
            write_warmup(unfinished, warmup)
        base_path.mkdir(exist_ok=True)
        return unfinished.rename(base_path / version)

    return write


def write_warmup(version_directory: Path, requests: Iterable) -> None:
    file = version_directory / "assets.extra" / "tf_serving_warmup_requests"
    file.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(file)) as writer:
        for request in requests:
            log = prediction_log_pb2.PredictionLog()
            log.predict_log.request.CopyFrom(request)
            writer.write(log.SerializeToString())


@pytest.fixture(scope="session")
def predict_request() -> Callable[..., predict_pb2.PredictRequest]:
    def build(model: str = "tiny", signature: str = "", **inputs) -> predict_pb2.PredictRequest:
        request = predict_pb2.PredictRequest()
        request.model_spec.name = model
        request.model_spec.signature_name = signature
        for name, value in inputs.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
        return request

    return build


@pytest.fixture(scope="session")
def server(
    saved_models: dict[float, Path],
    example_model: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ModelServer]:
    """Version 3 of the model `tiny`, which adds 2, and version 1 of `examples`."""
    base_path = tmp_path_factory.mktemp("served") / "tiny"
    shutil.copytree(saved_models[2.0], base_path / "00000003")
    models = {"tiny": base_path, "examples": example_model.parent}
    with ModelServer(models, port=0, rest_api_port=0, rest_api_timeout_in_ms=5000) as server:
        yield server


@pytest.fixture
def threads_of_runs(server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the threads that the model of `server` runs in from now on.

    It is as if it had never run before, and any run that is timed counts as quick.
    """
    for module in ("grpc_service", "rest"):
        monkeypatch.setattr(f"tfrec.serving.{module}.AT_ONCE_SECONDS", 1000.0)
    names: list[str] = []
    with server._manager.lease("tiny") as lease:
        run = lease.servable.run

        def note(*arguments):
            names.append(threading.current_thread().name)
            return run(*arguments)

        monkeypatch.setattr(lease.servable, "run", note)
        monkeypatch.setattr(lease.servable, "_seconds", {})
    return names


@pytest.fixture(scope="session")
def channel(server: ModelServer) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        yield channel


@pytest.fixture(scope="session")
def prediction_stub(
    channel: grpc.Channel,
) -> prediction_service_pb2_grpc.PredictionServiceStub:
    return prediction_service_pb2_grpc.PredictionServiceStub(channel)


@pytest.fixture(scope="session")
def wait_until() -> Callable[..., None]:
    def wait(condition: Callable[[], object], seconds: float = 60.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"did not happen within {seconds} s"
            time.sleep(0.01)

    return wait
