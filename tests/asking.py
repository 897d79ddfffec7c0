"""Asking an ASGI application without a socket."""

import asyncio
import warnings
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, TypeVar

import httpx

T = TypeVar("T")


class Asking:
    """A client in an event loop of its own, which runs while something is asked."""

    def __init__(self, app: Any, address: str = "127.0.0.1", host: str = "localhost") -> None:
        """Takes the application, the address that the client comes from, and the server's name.

        An application that needs the loop to be made is given to `serve` instead.
        """
        self._loop = asyncio.new_event_loop()
        self._address, self._host = address, host
        self.serve(app)

    def serve(self, app: Any) -> None:
        """Asks this application from now on."""
        transport = httpx.ASGITransport(app, client=(self._address, 50_000))
        self._client = httpx.AsyncClient(transport=transport, base_url=f"http://{self._host}")

    def __enter__(self) -> "Asking":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self, *endings: Callable[[], Awaitable[None]]) -> None:
        """Ends the loop, after what else is to be ended in it."""
        for ending in (self._client.aclose, *endings):
            self.run(ending())
        self._loop.close()

    def run(self, awaitable: Awaitable[T]) -> T:
        """Waits for something in the loop."""
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            return self._loop.run_until_complete(awaitable)

    def ask(self, method: str, path: str, **request: Any) -> httpx.Response:
        return self.run(self._client.request(method, path, **request))

    def get(self, path: str, **request: Any) -> httpx.Response:
        return self.ask("GET", path, **request)

    def post(self, path: str, **request: Any) -> httpx.Response:
        return self.ask("POST", path, **request)

    def delete(self, path: str, **request: Any) -> httpx.Response:
        return self.ask("DELETE", path, **request)
