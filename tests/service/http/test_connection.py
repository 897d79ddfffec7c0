"""What a client may send: requests of any size, but no headers without end."""

import pytest

from tests.wire import exchange
from tfrec.service.http.connection import MOST_UNFINISHED_BYTES, Connection

HEAD = b"GET / HTTP/1.1\r\nhost: here\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nhost: here\r\ntransfer-encoding: chunked\r\n\r\n"
HEADER = b"x: " + b"y" * 1000 + b"\r\n"
TOO_MANY = MOST_UNFINISHED_BYTES // len(HEADER) + 1


@pytest.mark.parametrize("beginning", [HEAD, CHUNKED + b"0\r\n"], ids=["headers", "trailers"])
def test_headers_without_end_are_refused_and_the_connection_closed(beginning: bytes) -> None:
    wire = exchange(Connection, beginning, *[HEADER] * TOO_MANY, waits=False)

    assert wire.sent[-1].startswith(b"HTTP/1.1 400 ")
    assert wire.sent[-1].endswith(b"The headers do not end.")
    assert wire.closed


def test_headers_that_end_are_not_counted_with_the_next_ones() -> None:
    half = HEADER * (TOO_MANY // 2)
    wire = exchange(Connection, *[HEAD + half + b"\r\n"] * 4)

    assert b"".join(wire.sent).count(b"200 OK") == 4
    assert not wire.closed


def test_body_may_be_longer_than_headers() -> None:
    pieces = [b"z" * 1000] * (4 * TOO_MANY)
    head = HEAD.replace(b"GET", b"POST") + b"content-length: %d\r\n\r\n" % (1000 * len(pieces))
    wire = exchange(Connection, head, *pieces, HEAD + b"\r\n", waits=False)

    assert b"".join(wire.sent).count(b"200 OK") == 2
    assert not wire.closed
