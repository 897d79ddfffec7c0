import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer

import numpy as np
import pytest

from tfrec.errors import UserError
from tfrec.serving import Client, ModelServer, ServingError
from tfrec.serving.signature import TensorSpec


@pytest.fixture(scope="module", params=["grpc", "http"])
def client(request: pytest.FixtureRequest, server: ModelServer) -> Iterator[Client]:
    port = server.port if request.param == "grpc" else server.rest_api_port
    with Client(f"{request.param}://127.0.0.1:{port}") as client:
        yield client


MIXED = {"name": ["a", "é"], "count": [1, 2], "weights": [[1, 2], [0.5, -1]]}


def refusal(client: Client, inputs, **options) -> str:
    with pytest.raises(UserError) as caught:
        client.predict("tiny", inputs, **options)
    assert not isinstance(caught.value, ServingError)
    return str(caught.value)


def test_predict_returns_arrays_of_the_model_s_types(client):
    outputs = client.predict("tiny", MIXED, signature="mixed")

    assert {name: array.dtype.name for name, array in outputs.items()} == {
        "doubled": "int64",
        "greeting": "object",
        "many": "bool",
        "name_bytes": "object",
        "total": "float64",
        "weights": "float64",
    }
    assert outputs["greeting"].tolist() == ["hello a", "hello é"]
    assert outputs["name_bytes"].tolist() == [[b"a"], ["é".encode()]]
    assert outputs["doubled"].tolist() == [2, 4]
    assert outputs["total"].tolist() == [3.0, -0.5]


def test_both_protocols_give_the_same_answer(server):
    generator = np.random.default_rng(7)
    count = 50
    inputs = {
        "name": [bytes(generator.bytes(5)) for _ in range(count)],
        "count": generator.integers(-(2**62), 2**62, count),
        "weights": generator.normal(size=(count, 2)) * 10.0 ** generator.integers(-20, 20, 2),
    }
    with (
        Client(f"grpc://127.0.0.1:{server.port}") as over_grpc,
        Client(f"http://127.0.0.1:{server.rest_api_port}") as over_rest,
    ):
        one = over_grpc.predict("tiny", inputs, signature="mixed")
        other = over_rest.predict("tiny", inputs, signature="mixed")
        floats = generator.normal(size=100).astype(np.float32)
        x = [c.predict("tiny", {"x": floats})["y"] for c in (over_grpc, over_rest)]

    assert list(one) == list(other)
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])
        assert one[name].dtype == other[name].dtype
    np.testing.assert_array_equal(x[0], x[1])


def test_special_floats_and_empty_batches_pass(client):
    special = client.predict("tiny", {"x": [np.nan, np.inf, -np.inf]})["y"]
    empty = client.predict("tiny", {"x": []}, signature="awkward")

    np.testing.assert_array_equal(special, [np.nan, np.inf, -np.inf])
    assert empty["column"].shape == (0, 1)
    assert empty["twice"].shape == (0,)
    assert empty["scalar"] == 0


def test_scalars_pass(client):
    assert client.predict("tiny", {"steps": 3}, signature="slow")["done"] == 3


def test_trailing_zero_bytes_are_kept(client):
    inputs = {**MIXED, "name": [b"a\x00", b"\xff\x00"]}

    names = client.predict("tiny", inputs, signature="mixed")["name_bytes"]

    assert names.tolist() == [[b"a\x00"], [b"\xff\x00"]]


def test_version_may_be_named(client):
    assert client.predict("tiny", {"x": [0]}, version=3)["y"].tolist() == [2.0]
    with pytest.raises(ServingError) as caught:
        client.predict("tiny", {"x": [0]}, version=9)

    assert caught.value.code == "NOT_FOUND"
    assert caught.value.message == "Servable not found for request: Specific(tiny, 9)"


def test_status_and_metadata(client):
    (status,) = client.status("tiny")
    signatures = client.metadata("tiny")

    assert (status.version, status.state, status.error_code) == (3, "AVAILABLE", "OK")
    assert signatures["serving_default"].inputs == {"x": TensorSpec("float32", (None,))}
    assert signatures["mixed"].outputs["name_bytes"] == TensorSpec("string", (None, 1))
    assert signatures["slow"].inputs["steps"] == TensorSpec("int64", ())
    assert signatures["mixed"].method_name == "tensorflow/serving/predict"
    assert "__saved_model_init_op" not in signatures


def test_unknown_model_is_the_server_s_error(client):
    for call in (client.status, client.metadata, lambda name: client.predict(name, {})):
        with pytest.raises(ServingError) as caught:
            call("other")
        assert caught.value.code == "NOT_FOUND"


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "tiny.serving_default.x: is missing; give a value for each of x: float32[?]"),
        ({"x": [1], "z": [1]}, "tiny.serving_default.z: is no input of this signature; it takes x"),
        ({"x": ["a"]}, "tiny.serving_default.x: takes float32[?], got <U1"),
        ({"x": [True]}, "tiny.serving_default.x: takes float32[?], got bool"),
        ({"x": [[1], [2, 3]]}, "tiny.serving_default.x: is ragged"),
    ],
)
def test_wrong_input_is_refused_before_it_is_sent(client, inputs, message):
    assert message in refusal(client, inputs)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"count": [1.0, 2.0]}, "tiny.mixed.count: takes int64[?], got float64"),
        ({"count": [2**63, 2**63]}, "9223372036854775808 does not fit; give -9223372036854775808"),
        ({"name": [1, 2]}, "tiny.mixed.name: takes string[?], got 1; give str or bytes"),
        ({"name": [["a"], ["b", "c"]]}, "tiny.mixed.name: takes string[?], got ['a']"),
    ],
)
def test_wrong_type_is_refused_before_it_is_sent(client, wrong, message):
    assert message in refusal(client, {**MIXED, **wrong}, signature="mixed")


def test_unknown_signature_is_refused_before_it_is_sent(client):
    assert "tiny: has no signature rank; it has awkward, half_precision, mixed" in refusal(
        client, {"x": [1]}, signature="rank"
    )


def test_deadline_is_kept(client):
    with pytest.raises(ServingError) as caught:
        client.predict("tiny", {"steps": 10**12}, signature="slow", timeout_seconds=0.2)

    assert caught.value.code == "DEADLINE_EXCEEDED"


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_absent_server_is_named(protocol, monkeypatch):
    monkeypatch.setattr("tfrec.serving.client_calls._RETRY_DELAYS_SECONDS", (0.1,))
    with socket.socket() as silent:  # holds its port, and does not listen there
        silent.bind(("127.0.0.1", 0))
        url = f"{protocol}://127.0.0.1:{silent.getsockname()[1]}"
        with Client(url) as client, pytest.raises(UserError) as caught:
            client.predict("tiny", {"x": [1]}, timeout_seconds=10)

    assert str(caught.value) == (
        f"{url}: no server answers; start one with `tfrec serve MODEL_ROOT`"
    )


@pytest.mark.parametrize(
    "url", ["localhost:8500", "https://a:1", "grpc://", "http://a:1/v1", "grpc://a:b"]
)
def test_other_addresses_are_refused(url):
    with pytest.raises(UserError, match="give grpc://host:8500 or http://host:8501"):
        Client(url)


class BusyAtFirst(BaseHTTPRequestHandler):
    """Answers 503 twice, then with a status."""

    calls = 0

    def do_GET(self):
        type(self).calls += 1
        busy = type(self).calls < 3
        body = b'{"error": "busy"}' if busy else b'{"model_version_status": []}'
        self.send_response(503 if busy else 200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


def test_unavailable_server_is_asked_again():
    busy_server = HTTPServer(("127.0.0.1", 0), BusyAtFirst)
    serving = threading.Thread(target=busy_server.serve_forever)
    serving.start()

    with Client(f"http://127.0.0.1:{busy_server.server_port}") as client:
        versions = client.status("tiny")

    busy_server.shutdown()
    busy_server.server_close()
    serving.join()
    assert versions == []
    assert BusyAtFirst.calls == 3


class Refuses(BaseHTTPRequestHandler):
    """Answers every path with the status that it names, and counts calls and connections."""

    protocol_version = "HTTP/1.1"
    calls, connections = 0, 0

    def setup(self):
        type(self).connections += 1
        super().setup()

    def do_GET(self):
        type(self).calls += 1
        body = b'{"error": "no"}'
        self.send_response(int(self.path.rpartition("/")[2]))
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


def test_other_errors_are_not_asked_again_and_the_connection_is_kept():
    statuses = (400, 403, 404, 409, 429, 499, 500, 501, 504)
    refusing = ThreadingHTTPServer(("127.0.0.1", 0), Refuses)
    serving = threading.Thread(target=refusing.serve_forever, args=(0.01,))
    serving.start()

    with Client(f"http://127.0.0.1:{refusing.server_port}") as client:
        for status in statuses:
            with pytest.raises(ServingError):
                client.status(str(status))

    refusing.shutdown()
    refusing.server_close()
    serving.join()
    assert Refuses.calls == len(statuses)
    assert Refuses.connections == 1
