"""Sends `tfrec serve` what it should not be sent, over gRPC and REST, and counts its answers.

Hypothesis makes the inputs: JSON that is malformed, of wrong types, ragged, deeply nested or no
UTF-8; tensors whose shapes, types and contents do not agree, of huge and negative sizes; bytes that
are no message; HTTP with wrong lengths, oversized headers, and clients that stop half-way.

It fails where the server ends, does not answer in time, answers with a status that is not one of
the documented, does not answer the next good request, or grows over the second half of the inputs.
"""

import tfrec  # noqa: F401  it sets TensorFlow's environment, so it comes first

# isort: split
import json
import math
import socket
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click
import grpc
import httpx
import numpy as np
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from served_models import MODEL, Server, serving, write_version
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import predict_pb2

from tfrec.serving.grpc_transport import predict_request

DEADLINE_SECONDS = 20.0
GROWTH_BYTES = 32 * 2**20
ROUNDS = 20

GRPC_STATUSES = {"OK", "INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION", "UNIMPLEMENTED"}
NO_MESSAGE = "INTERNAL"  # gRPC's own answer to bytes that are no message.
REST_STATUSES = {200, 400, 404, 501}
CLOSED = "closed"  # What HTTP clients get that stop half-way.

SIGNATURES = ("serving_default", "mixed", "classify", "regress")
GOOD_JSON = {
    "serving_default": {"instances": [1.0, 2.5]},
    "mixed": {
        "signature_name": "mixed",
        "instances": [{"name": "é", "count": 3, "weights": [0.5, 1.0], "wanted": True}],
    },
    "classify": {"signature_name": "classify", "examples": [{"x": 0.5}, {"x": [1.0]}]},
}
GOOD_GRPC = {
    "serving_default": {"x": np.ones(2, np.float32)},
    "mixed": {
        "name": np.array([b"one", b"two"], object),
        "count": np.arange(2),
        "weights": np.ones((2, 2)),
        "wanted": np.zeros(2, bool),
    },
    "classify": {"inputs": np.array([b"", b"\n\x00"], object)},
}


@click.command(help=__doc__.partition("\n")[0])
@click.option("--inputs", default=50_000, show_default=True, help="How many to send.")
@click.option("--seed", "number", default=1, show_default=True, help="Of what Hypothesis makes.")
def main(inputs: int, number: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        base_path = Path(folder, MODEL)
        base_path.mkdir()
        write_version(base_path, 1)
        with serving(base_path) as server:
            result = Fuzz(server).run(inputs, number)
    print(json.dumps(result))
    sys.exit(result["growth_mb"] * 2**20 > GROWTH_BYTES)


class Fuzz:
    """Sends inputs to one server."""

    def __init__(self, server: Server) -> None:
        self.server, self.counts = server, Counter[str]()
        self.http = httpx.Client(
            base_url=f"http://127.0.0.1:{server.rest_port}", timeout=DEADLINE_SECONDS
        )
        self.channel = grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}")

    def run(self, inputs: int, number: int) -> dict[str, Any]:
        """Sends so many, in rounds of all kinds."""
        kinds: dict[Callable, st.SearchStrategy] = {
            self.send_json: bodies,
            self.send_tensors: requests,
            self.send_bytes: st.tuples(st.sampled_from(METHODS), st.binary(max_size=200)),
            self.send_http: raw_requests,
        }
        shares = dict(zip(kinds, (0.45 / 3, 0.4 / 2.5, 0.1, 0.05), strict=True))
        sizes = []
        for turn in range(ROUNDS):
            for send, strategy in kinds.items():
                examples = math.ceil(inputs * shares[send] / ROUNDS)
                try_all(send, strategy, examples, number + turn)
            self.check_good()
            sizes.append(self.server.process.memory_info().rss)
            print(f"{sum(self.counts.values()):,} sent, {sizes[-1] / 2**20:,.0f} MB", flush=True)
        growth = min(sizes[-ROUNDS // 4 :]) - max(sizes[ROUNDS // 4 : ROUNDS // 2])
        return {
            "inputs": sum(self.counts.values()),
            **dict(sorted(self.counts.items())),
            "growth_mb": round(growth / 2**20, 1),
        }

    def send_json(self, body: tuple[str, bytes]) -> None:
        """Sends it to be predicted, classified, and wherever it is meant to go."""
        path, content = body
        for place in (PREDICT, CLASSIFY, path):
            response = self.http.post(place, content=content)
            self.counts[f"rest {response.status_code}"] += 1
            assert response.status_code in REST_STATUSES, (response.status_code, response.text)
            if response.status_code == 200:
                assert response.content.startswith(b"{")

    def send_tensors(self, request: predict_pb2.PredictRequest) -> None:
        """Asks the signature that it is meant for, and others."""
        for signature in {request.model_spec.signature_name, "mixed", "serving_default"}:
            request.model_spec.signature_name = signature
            self.call("PredictionService/Predict", request.SerializeToString(), GRPC_STATUSES)

    def send_bytes(self, call: tuple[str, bytes]) -> None:
        self.call(*call, {*GRPC_STATUSES, NO_MESSAGE})

    def call(self, method: str, message: bytes, expected: set[str]) -> None:
        send = self.channel.unary_unary(f"/tensorflow.serving.{method}")
        code, details = "OK", ""
        try:
            send(message, timeout=DEADLINE_SECONDS)
        except grpc.RpcError as error:
            code, details = error.code().name, error.details()
        self.counts[f"grpc {code}"] += 1
        assert code in expected, (code, details)
        assert code != NO_MESSAGE or details == "Exception deserializing request!", details

    def send_http(self, request: bytes) -> None:
        """Sends all at once, then nothing more: servers must not wait for ever."""
        with socket.create_connection(("127.0.0.1", self.server.rest_port), 5) as connection:
            connection.settimeout(DEADLINE_SECONDS)
            try:
                connection.sendall(request)
                connection.shutdown(socket.SHUT_WR)
                while (reply := connection.recv(65536)).startswith(b"HTTP/1.1 100"):
                    pass
            except TimeoutError:
                raise
            except OSError:  # The server has closed the connection.
                reply = b""
        status = reply[9:12].decode("latin-1") or CLOSED
        self.counts[f"http {status}"] += 1
        assert status == CLOSED or int(status) in REST_STATUSES, reply

    def check_good(self) -> None:
        """Asks while slow clients hold connections open; good requests have to be answered."""
        slow = [
            socket.create_connection(("127.0.0.1", self.server.rest_port), 5) for _ in range(20)
        ]
        for number, connection in enumerate(slow):
            connection.sendall(b"POST /v1/models/telling:predict HTTP/1.1\r\n"[: 4 + 2 * number])
        response = self.http.post(PREDICT, content=json.dumps(GOOD_JSON["mixed"]).encode())
        assert response.status_code == 200, response.text
        good = predict_request(MODEL, "mixed", GOOD_GRPC["mixed"]).SerializeToString()
        self.call("PredictionService/Predict", good, {"OK"})
        for connection in slow:
            connection.close()
        self.counts["slow clients"] += len(slow)


def try_all(
    send: Callable[[Any], None], strategy: st.SearchStrategy, examples: int, number: int
) -> None:
    """Sends examples of a strategy; of one that fails Hypothesis shows the smallest."""

    @seed(number)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def send_one(value: Any) -> None:
        send(value)

    send_one()


PREDICT, CLASSIFY = f"/v1/models/{MODEL}:predict", f"/v1/models/{MODEL}:classify"
METHODS = [
    *(f"PredictionService/{name}" for name in ("Predict", "Classify", "Regress", "MultiInference")),
    *("PredictionService/GetModelMetadata", "ModelService/GetModelStatus", "Other/Call"),
    "PredictionService/predict",
]

numbers = st.one_of(
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.sampled_from([2**31, -(2**31) - 1, 2**63, 2**64, 10**400, 1e308, 1e-400, -0.0]),
)
leaves = st.one_of(
    st.none(), st.booleans(), numbers, st.text(max_size=20), st.just({"b64": "aGk="}),
    st.just({"b64": "?"}),
)  # fmt: skip
values = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.sampled_from(["x", "name", "count", "b64", ""]), inner, max_size=3),
    ),
    max_leaves=12,
)
documents = st.fixed_dictionaries(
    {},
    optional={
        "instances": st.one_of(st.lists(values, max_size=4), values),
        "inputs": values,
        "examples": st.lists(values, max_size=3),
        "context": values,
        "signature_name": st.one_of(st.sampled_from(SIGNATURES), leaves),
    },
)


def _dump(document: object) -> bytes:
    # Surrogates that stand alone become bytes that are no UTF-8.
    return json.dumps(document, ensure_ascii=False).encode("utf-8", "surrogatepass")


@st.composite
def near_good(draw: st.DrawFn) -> bytes:
    """Good JSON with a few bytes changed, or cut short."""
    text = bytearray(_dump(draw(st.sampled_from(list(GOOD_JSON.values())))))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(text)))
        text[start : start + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(text[: draw(st.integers(0, len(text)))] if draw(st.booleans()) else text)


nested = st.builds(
    lambda depth, opening, key: key + opening * depth,
    st.integers(1, 100_000),
    st.sampled_from([b"[", b'{"x":', b'[{"":', b"[[1],"]),
    st.sampled_from([b"", b'{"instances":', b'{"inputs":']),
)
closed = st.builds(
    lambda depth: b'{"instances":' + b"[" * depth + b"1" + b"]" * depth + b"}",
    st.integers(1, 5000),
)
paths = st.one_of(
    st.sampled_from(
        [
            f"/v1/models/{MODEL}:regress",
            f"/v1/models/{MODEL}/versions/1:predict",
            f"/v1/models/{MODEL}/versions/{2**63}:predict",
            f"/v1/models/{MODEL}/labels/none:predict",
            "/v1/models/%ff%00:predict",
            "/monitoring",
        ]
    ),
    st.text(max_size=8).map(lambda name: f"/v1/models/{quote(name, safe='')}:predict"),
)
bodies = st.tuples(
    paths,
    st.one_of(documents.map(_dump), near_good(), st.binary(max_size=60), nested, closed),
)

sizes = st.one_of(st.integers(-2, 4), st.sampled_from([-(2**63), 2**31, 2**40, 2**62, 2**63 - 1]))


@st.composite
def tensors(draw: st.DrawFn) -> tensor_pb2.TensorProto:
    """Tensors whose parts need not agree."""
    proto = tensor_pb2.TensorProto(dtype=draw(st.integers(0, 25)))
    for size in draw(st.lists(sizes, max_size=4)):
        proto.tensor_shape.dim.add().size = size
    proto.tensor_shape.unknown_rank = draw(st.integers(0, 20)) == 20
    if draw(st.booleans()):
        proto.tensor_content = draw(st.binary(max_size=40))
    few = {"max_size": 5}
    proto.float_val.extend(draw(st.lists(st.floats(width=32), **few)))
    proto.int_val.extend(draw(st.lists(st.integers(-(2**31), 2**31 - 1), **few)))
    proto.int64_val.extend(draw(st.lists(st.integers(-(2**63), 2**63 - 1), **few)))
    proto.string_val.extend(draw(st.lists(st.binary(max_size=9), **few)))
    proto.half_val.extend(draw(st.lists(st.integers(-(2**31), 2**31 - 1), **few)))
    return proto


@st.composite
def tensor_requests(draw: st.DrawFn) -> predict_pb2.PredictRequest:
    """Good requests with some inputs replaced, left out or added, and any spec and filter."""
    name = draw(st.sampled_from(list(GOOD_GRPC)))
    request = predict_request(MODEL, name, GOOD_GRPC[name])
    for alias in draw(st.lists(st.sampled_from([*GOOD_GRPC[name], "", "other"]), max_size=3)):
        request.inputs[alias].CopyFrom(draw(tensors()))
    if draw(st.integers(0, 9)) == 0:
        request.model_spec.name = draw(st.text(max_size=9))
    if draw(st.integers(0, 9)) == 0:
        request.model_spec.version.value = draw(st.integers(-(2**63), 2**63 - 1))
    if draw(st.integers(0, 9)) == 0:
        request.model_spec.signature_name = draw(st.text(max_size=9))
    request.output_filter.extend(
        draw(st.lists(st.sampled_from(["first", "greeting", "scores", ""]), max_size=2))
    )
    return request


requests = tensor_requests()


@st.composite
def http_requests(draw: st.DrawFn) -> bytes:
    """HTTP whose lines, headers and lengths may be wrong."""
    method = draw(
        st.sampled_from([b"POST", b"GET", b"PUT", b"HEAD", b"OPTIONS", b"\x00", b"X" * 99])
    )
    target = draw(st.sampled_from([PREDICT.encode(), b"*", b"/", b"/" + b"a" * 70_000, b"\xff"]))
    version = draw(st.sampled_from([b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"", b"XTTP"]))
    length = draw(st.sampled_from([b"0", b"3", b"-1", b"99999999999999999999", b"x", b"\xb2"]))
    headers = draw(
        st.lists(
            st.sampled_from(
                [
                    b"host: a", b"content-length: " + length, b"transfer-encoding: chunked",
                    b"content-encoding: gzip", b"x: " + b"y" * 100_000, b"no colon", b": empty",
                    b"expect: 100-continue", b"connection: upgrade\r\nupgrade: websocket",
                    b"a: \x00\xff",
                ]
            ),
            max_size=4,
        )
    )  # fmt: skip
    body = draw(st.one_of(near_good(), st.binary(max_size=20), st.just(b"ffffffffffffffff\r\n")))
    request = b"\r\n".join([b" ".join([method, target, version]), *headers, b"", body])
    return request[: draw(st.integers(0, len(request)))] if draw(st.booleans()) else request


raw_requests = http_requests()


if __name__ == "__main__":
    main()
