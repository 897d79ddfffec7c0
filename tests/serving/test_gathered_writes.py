import pytest
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tests.wire import exchange
from tfrec.serving.gathered_writes import GatheredWrites

REQUEST = b"GET / HTTP/1.1\r\nhost: here\r\n\r\n"
LAST_REQUEST = REQUEST.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")


class OnH11(GatheredWrites, H11Protocol):
    pass


class OnHttpTools(GatheredWrites, HttpToolsProtocol):
    pass


pytestmark = pytest.mark.parametrize("kind", [OnH11, OnHttpTools])


def test_headers_and_body_go_out_at_once(kind):
    wire = exchange(kind, REQUEST)

    assert len(wire.sent) == 1
    assert wire.sent[0].startswith(b"HTTP/1.1 200 OK\r\n")
    assert wire.sent[0].endswith(b"\r\n\r\nhere")
    assert not wire.closed


def test_a_connection_takes_one_request_after_the_other(kind):
    assert len(exchange(kind, REQUEST, REQUEST).sent) == 2


def test_requests_in_one_packet_are_answered_in_one(kind):
    assert b"".join(exchange(kind, REQUEST * 3, REQUEST).sent).count(b"here") == 4


def test_a_reply_is_sent_before_the_connection_is_closed(kind):
    wire = exchange(kind, LAST_REQUEST)

    assert wire.sent[0].endswith(b"here")
    assert wire.closed


def test_what_is_no_http_is_refused_in_one_packet(kind):
    wire = exchange(kind, b"no http at all\r\n\r\n")

    assert wire.sent[0].startswith(b"HTTP/1.1 400 ")
    assert len(wire.sent) == 1
    assert wire.closed
