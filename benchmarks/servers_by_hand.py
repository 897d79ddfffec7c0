"""The servers that one would write by hand, and ours with a clock in it.

    python benchmarks/servers_by_hand.py eager|bare|timed VERSION_DIRECTORY

Each prints the free port that it listens on.
"""

import tfrec  # noqa: F401  it sets TensorFlow's environment, so it comes first

# isort: split
import asyncio
import json
import socket
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import click
import grpc
import numpy as np
import orjson
import tensorflow as tf
import uvicorn
from tensorflow_serving.apis import predict_pb2

from tfrec.serving.grpc_server import GrpcServer
from tfrec.serving.grpc_service import add_services
from tfrec.serving.manager import ModelManager
from tfrec.serving.model_config import ModelConfig, Specific
from tfrec.serving.model_versions import load_servable
from tfrec.serving.servable import Servable

SERVICE = "tensorflow.serving.PredictionService"
THREADS = 8


@click.command(help=__doc__.partition("\n")[0])
@click.argument("kind", type=click.Choice(["eager", "bare", "timed"]))
@click.argument("version", type=click.Path(path_type=Path))
def main(kind: str, version: Path) -> None:
    {"eager": serve_eagerly, "bare": serve_barely, "timed": serve_timed}[kind](version)


def serve_eagerly(version: Path) -> None:
    """gRPC's threads, and signatures that are called as functions."""
    signatures = tf.saved_model.load(str(version)).signatures

    def predict(request: predict_pb2.PredictRequest, context: Any) -> predict_pb2.PredictResponse:
        signature = signatures[request.model_spec.signature_name or "serving_default"]
        inputs = {
            name: tf.constant(tf.make_ndarray(proto)) for name, proto in request.inputs.items()
        }
        response = predict_pb2.PredictResponse()
        for name, tensor in signature(**inputs).items():
            response.outputs[name].CopyFrom(tf.make_tensor_proto(tensor.numpy()))
        return response

    handler = grpc.unary_unary_rpc_method_handler(
        predict,
        predict_pb2.PredictRequest.FromString,
        predict_pb2.PredictResponse.SerializeToString,
    )
    server = grpc.server(ThreadPoolExecutor(THREADS))
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(SERVICE, {"Predict": handler}),)
    )
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    server.start()
    server.wait_for_termination()


def serve_barely(version: Path) -> None:
    """uvicorn, and a handler that checks nothing and knows one signature of one model."""
    servable = Servable.load(version)
    signature = servable.signatures["serving_default"]
    ((name, _),) = signature.inputs.items()
    ((output, _),) = signature.outputs.items()

    async def app(scope: Any, receive: Callable, send: Callable) -> None:
        body = (await receive())["body"]
        inputs = {name: np.array(json.loads(body)["instances"], np.float32)}
        values = servable.run(signature, inputs, [output])
        reply = orjson.dumps({"predictions": values[output].tolist()})
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(reply)).encode()),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": reply})

    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    print(listener.getsockname()[1], flush=True)
    config = uvicorn.Config(app, lifespan="off", access_log=False, log_level="warning")
    asyncio.run(uvicorn.Server(config).serve([listener]))


def serve_timed(version: Path) -> None:
    """Our gRPC server; tells the times of its answers, as JSON, once a line is written to it."""
    clock = Clock()

    def load(path: Path) -> Servable:
        servable = load_servable(path)
        servable.run = clock.timed_run(servable.run)  # type: ignore[method-assign]
        return servable

    base = version.parent
    config = ModelConfig(base.name, base, Specific(frozenset({int(version.name)})))
    manager = ModelManager([config], load=load)
    manager.start()
    server = GrpcServer(
        lambda grpc_server: add_services(clock.watch(grpc_server), manager), "127.0.0.1", 0
    )
    print(server.port, flush=True)
    for _ in sys.stdin:
        print(json.dumps(clock.times), flush=True)
        clock.times.clear()
    server.begin_stop(0).wait()
    manager.stop()


class Clock:
    """Times a request from its bytes to the answer's, and the graph's run in it.

    Attributes:
      times: seconds of whole answers and of their runs.
    """

    def __init__(self) -> None:
        self.times: list[tuple[float, float]] = []
        self._thread = threading.local()

    def watch(self, server: grpc.Server) -> Any:
        """What `add_services` registers its methods on."""
        return _Registrar(server, self)

    def timed_run(self, run: Callable) -> Callable:
        def timed(*arguments: Any) -> Any:
            started = time.perf_counter()
            result = run(*arguments)
            self._thread.run_seconds = time.perf_counter() - started
            return result

        return timed

    def timed_handler(self, handler: Any) -> Any:
        def answer(message: bytes, context: grpc.ServicerContext) -> Any:
            self._thread.started = time.perf_counter()
            return handler.unary_unary(message, context)

        def serialize(response: Any) -> bytes:
            message = handler.response_serializer(response)
            seconds = time.perf_counter() - self._thread.started
            self.times.append((seconds, self._thread.run_seconds))
            return message

        return grpc.unary_unary_rpc_method_handler(answer, None, serialize)


class _Registrar:
    """Puts the clock into the methods of the service that runs models."""

    def __init__(self, server: grpc.Server, clock: Clock) -> None:
        self._server, self._clock = server, clock

    def add_generic_rpc_handlers(self, handlers: Any) -> None:
        self._server.add_generic_rpc_handlers(
            [_Timed(handler, self._clock) for handler in handlers]
        )


class _Timed(grpc.GenericRpcHandler):
    def __init__(self, handler: grpc.GenericRpcHandler, clock: Clock) -> None:
        self._handler, self._clock = handler, clock

    def service(self, details: Any) -> Any:
        found = self._handler.service(details)
        if found is None or not details.method.endswith("/Predict"):
            return found
        return self._clock.timed_handler(found)


if __name__ == "__main__":
    main()
