"""The client of a model server for programs with an event loop."""

import asyncio
from collections.abc import Mapping
from types import TracebackType

import numpy as np
from numpy.typing import ArrayLike

from tfrec.serving.client_calls import CALL_SECONDS, ClientCalls
from tfrec.serving.signature import Signature
from tfrec.serving.status import VersionStatus


class AsyncClient:
    """`Client`, but its calls are awaited, and any number of them run at once.

    A client belongs to the event loop that makes its first call.

    Example:
      >>> async with AsyncClient("grpc://localhost:8500") as client:
      ...     calls = (client.predict("half_plus_two", {"x": [x]}) for x in (1.0, 2.0))
      ...     await asyncio.gather(*calls)
      [{'y': array([2.5], dtype=float32)}, {'y': array([3.], dtype=float32)}]
    """

    def __init__(self, url: str) -> None:
        """Describes the server; see `Client`."""
        self._calls = ClientCalls(url, "Async", asyncio.sleep)

    async def predict(
        self,
        model: str,
        inputs: Mapping[str, ArrayLike],
        *,
        signature: str = "serving_default",
        version: int | None = None,
        timeout_seconds: float = CALL_SECONDS,
    ) -> dict[str, np.ndarray]:
        """Runs a model; see `Client.predict`."""
        return await self._calls.predict(model, inputs, signature, version, timeout_seconds)

    async def status(self, model: str) -> list[VersionStatus]:
        """The states of a model's versions; see `Client.status`."""
        return await self._calls.status(model)

    async def metadata(self, model: str, version: int | None = None) -> dict[str, Signature]:
        """The signatures of a version by name; see `Client.metadata`."""
        return dict((await self._calls.metadata(model, version)).signatures)

    async def newest(self, model: str) -> int:
        """The version that answers where none is named, as it was looked up last.

        Raises:
          UserError: if no server answers.
          ServingError: if the server does not know the model.
        """
        return (await self._calls.metadata(model, None)).version

    async def close(self) -> None:
        """Closes the connection."""
        await self._calls.close()

    async def __aenter__(self) -> "AsyncClient":
        """Returns the client itself."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Closes the connection."""
        await self.close()
