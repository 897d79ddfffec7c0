"""The process that listens: from the first request to the last."""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import uvicorn
from starlette.routing import BaseRoute

from tfrec.errors import UserError
from tfrec.service.gateway import Gateway
from tfrec.service.http.app import make_app
from tfrec.service.http.config import HttpConfig
from tfrec.service.http.connection import Connection
from tfrec.service.http.guard import is_loopback
from tfrec.service.http.keys import Keys
from tfrec.service.http.log_names import LogNames

_MOST_WAITING = 2048


def check_access(config: HttpConfig, insecure: bool = False) -> None:
    """Refuses keys that cannot be read, and to let everybody ask who reaches the machine.

    Args:
      config: of the server.
      insecure: whether that is wanted.

    Raises:
      UserError: if others reach the address and need no key, or nobody could have one.
    """
    Keys.of(config, os.environ)
    LogNames.of(config.log_key_env, os.environ)
    if not (config.needs_keys or is_loopback(config.host) or insecure):
        raise UserError(
            f"service.http.host: {config.host!r}: others could read every shopper's history; name "
            "a file of keys in service.http.keys (tfrec gateway-key makes one), or say --insecure"
        )


def reserve(config: HttpConfig) -> socket.socket:
    """Takes the port, without listening yet, so that nobody waits for what is still opened.

    Raises:
      UserError: if another process has it.
    """
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Connections inherit it. Without it an answer may wait for the client's acknowledgement.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.bind((config.host, config.port))
    except OSError as error:
        listener.close()
        raise UserError(
            f"service.http.port: cannot listen on {config.host}:{config.port} ({error.strerror}); "
            "stop what uses it or give another --port"
        ) from None
    return listener


def address(config: HttpConfig, listener: socket.socket) -> str:
    """URL of a server."""
    host = f"[{config.host}]" if ":" in config.host else config.host
    return f"http://{host}:{listener.getsockname()[1]}"


async def serve(
    gateway: Gateway,
    config: HttpConfig,
    listener: socket.socket,
    on_ready: Callable[[], None],
    pages: Sequence[BaseRoute] = (),
) -> None:
    """Answers until the process is told to stop; then lets requests end, and closes the gateway.

    Args:
      gateway: answers; it is closed at the end.
      config: keys, limits and how long requests may run on.
      listener: from `reserve`.
      on_ready: is called when requests are taken.
      pages: routes of the pages for people.

    Raises:
      UserError: if keys cannot be read, or somebody else listens by now.
    """
    try:
        app = make_app(gateway, config, pages)
        server = _Server(_settings(app, config), on_ready)
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, server.stop)
        _listen(listener)
        await server.serve([listener])
    finally:
        listener.close()
        await gateway.close()


def _listen(listener: socket.socket) -> None:
    try:
        listener.listen(_MOST_WAITING)
    except OSError as error:  # two may take a port that nobody listens on yet
        port = listener.getsockname()[1]
        raise UserError(
            f"service.http.port: cannot listen on {port} ({error.strerror}); give another --port"
        ) from None


def _settings(app: Any, config: HttpConfig) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        lifespan="off",
        access_log=False,
        server_header=False,
        log_config=None,
        log_level="warning",
        proxy_headers=bool(config.proxies),
        forwarded_allow_ips=list(config.proxies),
        timeout_graceful_shutdown=config.drain,
    )


class _Server(uvicorn.Server):
    """uvicorn, that says when it is ready, and leaves signals to those who started it."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def stop(self) -> None:
        self.should_exit = True
