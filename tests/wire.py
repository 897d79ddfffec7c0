"""Protocols of servers on a wire that keeps what goes over it."""

import asyncio

from uvicorn import Config
from uvicorn.server import ServerState

from tfrec.serving.gathered_writes import GatheredWrites

TURNS = 5
"""Of the event loop, in which an answer is sent."""


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


def exchange(kind: type[GatheredWrites], *pieces: bytes, waits: bool = True) -> Wire:
    """What goes over the wire when pieces of requests come in.

    Args:
      kind: of protocol.
      *pieces: each is a request and comes in once the last one is answered.
      waits: otherwise pieces are no whole requests, and come in one after the other until the
        connection is closed.
    """

    async def run() -> Wire:
        wire = Wire()
        protocol = kind(Config(app, log_config=None), ServerState(), {})
        protocol.connection_made(wire)
        for piece in pieces:
            before = len(wire.sent)
            protocol.data_received(piece)
            while waits and len(wire.sent) == before:
                await asyncio.sleep(0)
            for _ in range(TURNS):
                await asyncio.sleep(0)
            if wire.closed:
                break
        return wire

    return asyncio.run(asyncio.wait_for(run(), 60))
