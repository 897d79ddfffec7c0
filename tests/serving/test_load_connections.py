import socketserver
import threading
from collections.abc import Iterator

import numpy as np
import pytest

from tfrec.errors import UserError
from tfrec.serving import ModelServer
from tfrec.serving.address import Address
from tfrec.serving.load_connections import RestConnection, connect, encode

SECONDS = 60.0
BYTES = np.array([b"\xff", "é".encode()], object)
MIXED = {"name": BYTES, "count": np.array([1, 2]), "weights": np.array([[1.0, 2], [3, 4]])}


@pytest.fixture(params=["grpc", "http"])
def address(request: pytest.FixtureRequest, server: ModelServer) -> Address:
    port = server.port if request.param == "grpc" else server.rest_api_port
    return Address(request.param, "127.0.0.1", port)


def ask(address: Address, model: str, signature: str, seconds: float = SECONDS, **inputs) -> str:
    connection = connect(address, model)
    try:
        return connection(encode(address, model, signature, inputs), seconds)
    finally:
        connection.close()


def test_encoded_requests_are_answered(address: Address) -> None:
    assert ask(address, "tiny", "mixed", **MIXED) == "OK"


def test_errors_are_named_alike_over_both_protocols(address: Address) -> None:
    assert ask(address, "other", "mixed", **MIXED) == "NOT_FOUND"
    assert ask(address, "tiny", "mixed", name=BYTES) == "INVALID_ARGUMENT"


def test_connection_goes_on_after_a_time_out(address: Address) -> None:
    connection = connect(address, "tiny")
    endless = encode(address, "tiny", "slow", {"steps": np.array(10**12)})
    short = encode(address, "tiny", "slow", {"steps": np.array(3)})

    assert connection(endless, 0.2) == "DEADLINE_EXCEEDED"
    assert connection(short, SECONDS) == "OK"
    connection.close()


@pytest.mark.parametrize("scheme", ["grpc", "http"])
def test_server_that_goes_is_unavailable(scheme: str, push, tmp_path) -> None:
    push(tmp_path / "tiny", "1")
    with ModelServer({"tiny": tmp_path / "tiny"}, port=0, rest_api_port=0) as server:
        port = server.port if scheme == "grpc" else server.rest_api_port
        address = Address(scheme, "127.0.0.1", port)
        connection = connect(address, "tiny")
        request = encode(address, "tiny", "", {"x": np.array([1], np.float32)})
        assert connection(request, SECONDS) == "OK"

    assert connection(request, SECONDS) == "UNAVAILABLE"
    connection.close()


def test_absent_server_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tfrec.serving.load_connections._CONNECT_SECONDS", 0.2)
    for scheme in ("grpc", "http"):
        with pytest.raises(UserError, match=f"{scheme}://127.0.0.1:1: no server answers; start"):
            connect(Address(scheme, "127.0.0.1", 1), "tiny")


class AnswersOnce(socketserver.StreamRequestHandler):
    """Answers a request as if the connection stayed open, and closes it."""

    def handle(self) -> None:
        while self.rfile.readline() not in (b"\r\n", b""):
            pass
        self.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")


@pytest.fixture
def forgetful() -> Iterator[socketserver.TCPServer]:
    with socketserver.TCPServer(("127.0.0.1", 0), AnswersOnce) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.01,))
        serving.start()
        yield server
        server.shutdown()
        serving.join()


def test_connection_closed_while_idle_is_no_error(
    forgetful: socketserver.TCPServer, wait_until
) -> None:
    connection = RestConnection(Address("http", *forgetful.server_address[:2]), "tiny")

    for _ in range(3):
        assert connection(b"", SECONDS) == "OK"
        wait_until(lambda: connection.closed_by_server)
    connection.close()
