"""Replies in one packet: uvicorn writes the headers and the body of a reply one after the other."""

import asyncio
from typing import Any, cast


class GatheredWrites(asyncio.Protocol):
    """Puts a protocol of uvicorn on a transport that sends at once what is written in one go.

    Each write is a system call, which wakes the client, and takes as long as parsing a small
    request does.

    Example:
      >>> class Connection(GatheredWrites, H11Protocol): ...
    """

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begins to answer on a connection."""
        gathering = _Gathering(cast(asyncio.Transport, transport))
        super().connection_made(cast(asyncio.Transport, gathering))


class _Gathering:
    """A transport that holds back what is written until the event loop's next turn."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._held: list[bytes] = []

    def write(self, data: bytes) -> None:
        if data:
            if not self._held:
                self._loop.call_soon(self._send)
            self._held.append(data)

    def close(self) -> None:
        self._send()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def _send(self) -> None:
        if self._held:
            data = b"".join(self._held)
            self._held.clear()
            self._transport.write(data)
