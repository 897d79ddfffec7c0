"""What the clients of both kinds do: check, send, try again, read."""

import importlib
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import cached_property
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from tfrec.errors import UserError
from tfrec.serving.address import Address
from tfrec.serving.inputs import check_inputs
from tfrec.serving.signature import ModelMetadata
from tfrec.serving.status import ServingError, VersionStatus

_Answer = TypeVar("_Answer")

CALL_SECONDS = 10.0
"""How long a call may take unless it says otherwise."""

_RETRY_DELAYS_SECONDS = (0.1, 0.2, 0.4, 0.8)
# How long the newest version of a model is taken to be still the newest.
_LATEST_SECONDS = 5.0


class ClientCalls:
    """Calls of a client, as coroutines. They wait where the transport and `sleep` do."""

    def __init__(self, url: str, kind: str, sleep: Callable[[float], Awaitable[None]]) -> None:
        """Describes the server; see `Client`. `kind` is a prefix of the transports' names."""
        self._url, self._address = url, Address.parse(url)
        self._kind, self._sleep = kind, sleep
        self._metadata: dict[tuple[str, int | None], tuple[float, ModelMetadata]] = {}

    async def predict(
        self,
        model: str,
        inputs: Mapping[str, ArrayLike],
        signature: str,
        version: int | None,
        timeout_seconds: float,
    ) -> dict[str, np.ndarray]:
        """Runs a model; see `Client.predict`."""
        deadline = time.monotonic() + timeout_seconds
        metadata = await self._find_metadata(model, version, deadline)
        try:
            return await self._predict(model, metadata, signature, inputs, deadline)
        except ServingError as error:
            if error.code != "NOT_FOUND" or version is not None:
                raise
        # The newest version has been replaced since it was last looked up.
        self._metadata.pop((model, None), None)
        metadata = await self._find_metadata(model, version, deadline)
        return await self._predict(model, metadata, signature, inputs, deadline)

    async def status(self, model: str) -> list[VersionStatus]:
        """The states of a model's versions; see `Client.status`."""
        deadline = time.monotonic() + CALL_SECONDS
        return await self._call(deadline, lambda seconds: self._transport.status(model, seconds))

    async def metadata(self, model: str, version: int | None) -> ModelMetadata:
        """The signatures of a version; see `Client.metadata`."""
        return await self._find_metadata(model, version, time.monotonic() + CALL_SECONDS)

    async def close(self) -> None:
        """Closes the connection."""
        if "_transport" in vars(self):
            await self._transport.close()

    @cached_property
    def _transport(self) -> "_Transport":
        """Made on first use: an asynchronous one belongs to the event loop that runs then."""
        module, name = _TRANSPORTS[self._address.scheme]
        return getattr(importlib.import_module(module), self._kind + name)(str(self._address))

    async def _find_metadata(
        self, model: str, version: int | None, deadline: float
    ) -> ModelMetadata:
        now = time.monotonic()
        fetched_at, metadata = self._metadata.get((model, version), (now, None))
        if metadata is None or (version is None and now - fetched_at > _LATEST_SECONDS):
            metadata = await self._call(
                deadline, lambda seconds: self._transport.metadata(model, version, seconds)
            )
            # Loading leaves this beside the signatures that a caller can run.
            metadata.signatures.pop("__saved_model_init_op", None)
            self._metadata[model, version] = (now, metadata)
        return metadata

    async def _predict(
        self,
        model: str,
        metadata: ModelMetadata,
        signature: str,
        inputs: Mapping[str, ArrayLike],
        deadline: float,
    ) -> dict[str, np.ndarray]:
        if signature not in metadata.signatures:
            known = ", ".join(sorted(metadata.signatures))
            raise UserError(f"{model}: has no signature {signature}; it has {known}")
        arrays = check_inputs(f"{model}.{signature}", inputs, metadata.signatures[signature])
        outputs = await self._call(
            deadline,
            lambda seconds: self._transport.predict(model, metadata, signature, arrays, seconds),
        )
        return {name: _decode(name, array) for name, array in outputs.items()}

    async def _call(self, deadline: float, call: Callable[[float], Awaitable[_Answer]]) -> _Answer:
        """Calls with the seconds that are left, again after a pause if the server is away."""
        for delay in (*_RETRY_DELAYS_SECONDS, float("inf")):
            try:
                return await call(max(deadline - time.monotonic(), 0.001))
            except ConnectionError as error:
                failure: UserError = UserError(
                    f"{self._url}: no server answers; start one with `tfrec serve MODEL_ROOT`"
                )
                cause: Exception = error
            except ServingError as error:
                if error.code != "UNAVAILABLE":
                    raise
                failure = cause = error
            if time.monotonic() + delay >= deadline:
                break
            await self._sleep(delay)
        raise failure from cause


class _Transport(Protocol):
    """What a protocol has to offer. Strings are object arrays of bytes."""

    async def predict(
        self,
        model: str,
        metadata: ModelMetadata,
        signature: str,
        inputs: Mapping[str, np.ndarray],
        timeout_seconds: float,
    ) -> dict[str, np.ndarray]: ...

    async def status(self, model: str, timeout_seconds: float) -> list[VersionStatus]: ...

    async def metadata(
        self, model: str, version: int | None, timeout_seconds: float
    ) -> ModelMetadata: ...

    async def close(self) -> None: ...


# scheme: (module, end of the class's name). Imported on use, as gRPC's messages need TensorFlow.
_TRANSPORTS = {
    "grpc": ("tfrec.serving.grpc_transport", "GrpcTransport"),
    "http": ("tfrec.serving.rest_transport", "RestTransport"),
}


def _decode(name: str, array: np.ndarray) -> np.ndarray:
    if array.dtype != object or name.endswith("_bytes"):
        return array
    strings = np.empty(array.size, object)
    strings[:] = [value.decode("utf-8", "surrogateescape") for value in array.flat]
    return strings.reshape(array.shape)
