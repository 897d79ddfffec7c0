import asyncio

from uvicorn import Config
from uvicorn.server import ServerState

from tfrec.serving.gathered_writes import GatheredWrites

REQUEST = b"GET / HTTP/1.1\r\nhost: here\r\n\r\n"
LAST_REQUEST = REQUEST.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")


class Wire(asyncio.Transport):
    """Keeps what is sent in one go, and what becomes of the connection."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[bytes] = []
        self.closed = False

    def write(self, data) -> None:
        assert not self.closed
        self.sent.append(bytes(data))

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


async def app(scope, receive, send):
    headers = [(b"content-length", b"4")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"here"})


def exchange(*requests: bytes) -> Wire:
    """What goes over the wire when requests come in, each once the last one is answered."""

    async def run() -> Wire:
        wire = Wire()
        protocol = GatheredWrites(Config(app, log_config=None), ServerState(), {})
        protocol.connection_made(wire)
        for request in requests:
            before = len(wire.sent)
            protocol.data_received(request)
            while len(wire.sent) == before:
                await asyncio.sleep(0)
        return wire

    return asyncio.run(asyncio.wait_for(run(), 60))


def test_headers_and_body_go_out_at_once():
    wire = exchange(REQUEST)

    assert len(wire.sent) == 1
    assert wire.sent[0].startswith(b"HTTP/1.1 200 OK\r\n")
    assert wire.sent[0].endswith(b"\r\n\r\nhere")
    assert not wire.closed


def test_a_connection_takes_one_request_after_the_other():
    assert len(exchange(REQUEST, REQUEST).sent) == 2


def test_requests_in_one_packet_are_answered_in_one():
    assert b"".join(exchange(REQUEST * 3, REQUEST).sent).count(b"here") == 4


def test_a_reply_is_sent_before_the_connection_is_closed():
    wire = exchange(LAST_REQUEST)

    assert wire.sent[0].endswith(b"here")
    assert wire.closed


def test_what_is_no_http_is_refused_in_one_packet():
    wire = exchange(b"no http at all\r\n\r\n")

    assert wire.sent[0].startswith(b"HTTP/1.1 400 ")
    assert len(wire.sent) == 1
    assert wire.closed
