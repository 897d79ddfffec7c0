"""The REST port: uvicorn in a thread of its own."""

import asyncio
import logging
import socket
import ssl
import threading
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from tfrec.errors import UserError
from tfrec.serving.gathered_writes import GatheredWrites

logger = logging.getLogger(__name__)


class RestServer:
    """Answers HTTP requests from an ASGI application until `stop`.

    Attributes:
      port: the port it listens on.
    """

    def __init__(
        self,
        app: Any,
        host: str,
        port: int,
        drain_seconds: float,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        """Opens the port and starts to answer.

        Args:
          app: the ASGI application.
          host: address to listen on.
          port: port to listen on, 0 for any free one.
          drain_seconds: how long `stop` lets requests run on.
          ssl_context: makes it HTTPS.

        Raises:
          UserError: if the port is in use.
        """
        listener = _listen(host, port)
        self.port: int = listener.getsockname()[1]
        self._drain_seconds = drain_seconds
        config = uvicorn.Config(
            app,
            http=_Connection,
            lifespan="off",
            access_log=False,
            server_header=False,
            log_config=None,
            log_level="warning",
            timeout_graceful_shutdown=int(drain_seconds),
            ssl_context_factory=(lambda *_: ssl_context) if ssl_context else None,
        )
        self._server = _WakeableServer(config)
        self._thread = threading.Thread(
            target=self._server.run, args=([listener],), name="rest", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Takes no more requests and lets running ones finish."""
        self._server.wake_and_exit()
        self._thread.join(self._drain_seconds + _SLACK_SECONDS)
        if self._thread.is_alive():
            logger.error("the REST server did not end in time; its connections are left open")


_SLACK_SECONDS = 5.0


class _Connection(GatheredWrites, H11Protocol):
    """A client's; it answers what is no HTTP as h11 does, whatever else is installed."""


class _WakeableServer(uvicorn.Server):
    """uvicorn looks for `should_exit` between naps; this one can be woken from them."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._wake: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None

    async def main_loop(self) -> None:
        woken = asyncio.Event()
        self._wake = (asyncio.get_running_loop(), woken)
        waits = [asyncio.ensure_future(super().main_loop()), asyncio.ensure_future(woken.wait())]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()

    def wake_and_exit(self) -> None:
        self.should_exit = True
        if self._wake is not None:
            loop, woken = self._wake
            try:
                loop.call_soon_threadsafe(woken.set)
            except RuntimeError:  # The loop has ended by itself.
                logger.debug("the REST server had stopped already")


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server(
            (host, port), family=family, dualstack_ipv6=family == socket.AF_INET6
        )
    except OSError as error:
        raise UserError(
            f"rest_api_port: cannot listen on {host}:{port} ({error}); stop what uses it or give"
            " another --rest_api_port"
        ) from error
    # Connections inherit it. Without it a reply's body waits for the client to acknowledge its
    # headers, up to 40 ms.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener
