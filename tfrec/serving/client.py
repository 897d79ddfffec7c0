"""The client of a model server: one interface over gRPC and REST."""

import importlib
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from tfrec.errors import UserError
from tfrec.serving.address import Address
from tfrec.serving.inputs import check_inputs
from tfrec.serving.signature import ModelMetadata, Signature
from tfrec.serving.status import ServingError, VersionStatus

_Answer = TypeVar("_Answer")

_RETRY_DELAYS_SECONDS = (0.1, 0.2, 0.4, 0.8)
_CALL_SECONDS = 10.0
# How long the newest version of a model is taken to be still the newest.
_LATEST_SECONDS = 5.0


class Client:
    """Calls a model server: TensorFlow Serving or `tfrec serve`.

    Answers are the same over both protocols. Inputs are checked against the model's signature
    before they are sent. A call that finds the server unavailable is repeated a few times.

    Example:
      >>> with Client("grpc://localhost:8500") as client:
      ...     client.predict("half_plus_two", {"x": [1.0, 2.0]})
      {'y': array([2.5, 3. ], dtype=float32)}
    """

    def __init__(self, url: str) -> None:
        """Describes the server; the first call connects.

        Args:
          url: `grpc://host:port` or `http://host:port`; ports default to 8500 and 8501.

        Raises:
          UserError: if `url` is something else.
        """
        self._url = url
        self._transport = _transport(url)
        self._metadata: dict[tuple[str, int | None], tuple[float, ModelMetadata]] = {}

    def predict(
        self,
        model: str,
        inputs: Mapping[str, ArrayLike],
        *,
        signature: str = "serving_default",
        version: int | None = None,
        timeout_seconds: float = _CALL_SECONDS,
    ) -> dict[str, np.ndarray]:
        """Runs a model.

        Args:
          model: the model's name on the server.
          inputs: a value for each input of the signature. Numbers are cast within their kind
            (float64 to float32, int32 to int64); an input of floats also takes integers.
          signature: which of the model's signatures to run.
          version: which version; None means the newest that is available.
          timeout_seconds: for the whole call, repeated tries included.

        Returns:
          An array for each output. Strings come as object arrays of `str`, those of outputs whose
          name ends in `_bytes` as `bytes`.

        Raises:
          UserError: if the inputs do not fit the signature, or no server answers.
          ServingError: if the server refuses the request.
        """
        deadline = time.monotonic() + timeout_seconds
        metadata = self._find_metadata(model, version, deadline)
        try:
            return self._predict(model, metadata, signature, inputs, deadline)
        except ServingError as error:
            if error.code != "NOT_FOUND" or version is not None:
                raise
        # The newest version has been replaced since it was last looked up.
        self._metadata.pop((model, None), None)
        metadata = self._find_metadata(model, version, deadline)
        return self._predict(model, metadata, signature, inputs, deadline)

    def status(self, model: str) -> list[VersionStatus]:
        """The states of a model's versions, newest first.

        Raises:
          UserError: if no server answers.
          ServingError: if the server does not know the model.
        """
        deadline = time.monotonic() + _CALL_SECONDS
        return self._call(deadline, lambda seconds: self._transport.status(model, seconds))

    def metadata(self, model: str, version: int | None = None) -> dict[str, Signature]:
        """The signatures of a version by name.

        Args:
          model: the model's name on the server.
          version: which version; None means the newest that is available.

        Raises:
          UserError: if no server answers.
          ServingError: if the server does not know the model or the version.
        """
        deadline = time.monotonic() + _CALL_SECONDS
        return dict(self._find_metadata(model, version, deadline).signatures)

    def close(self) -> None:
        """Closes the connection."""
        self._transport.close()

    def __enter__(self) -> "Client":
        """Returns the client itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Closes the connection."""
        self.close()

    def _find_metadata(self, model: str, version: int | None, deadline: float) -> ModelMetadata:
        now = time.monotonic()
        fetched_at, metadata = self._metadata.get((model, version), (now, None))
        if metadata is None or (version is None and now - fetched_at > _LATEST_SECONDS):
            metadata = self._call(
                deadline, lambda seconds: self._transport.metadata(model, version, seconds)
            )
            # Loading leaves this beside the signatures that a caller can run.
            metadata.signatures.pop("__saved_model_init_op", None)
            self._metadata[model, version] = (now, metadata)
        return metadata

    def _predict(
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
        outputs = self._call(
            deadline,
            lambda seconds: self._transport.predict(model, metadata, signature, arrays, seconds),
        )
        return {name: _decode(name, array) for name, array in outputs.items()}

    def _call(self, deadline: float, call: Callable[[float], _Answer]) -> _Answer:
        """Calls with the seconds that are left, again after a pause if the server is away."""
        for delay in (*_RETRY_DELAYS_SECONDS, float("inf")):
            try:
                return call(max(deadline - time.monotonic(), 0.001))
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
            time.sleep(delay)
        raise failure from cause


class _Transport(Protocol):
    """What a protocol has to offer. Strings are object arrays of bytes."""

    def predict(
        self,
        model: str,
        metadata: ModelMetadata,
        signature: str,
        inputs: Mapping[str, np.ndarray],
        timeout_seconds: float,
    ) -> dict[str, np.ndarray]: ...

    def status(self, model: str, timeout_seconds: float) -> list[VersionStatus]: ...

    def metadata(
        self, model: str, version: int | None, timeout_seconds: float
    ) -> ModelMetadata: ...

    def close(self) -> None: ...


# scheme: (module, class). Imported on use, as gRPC's messages need TensorFlow.
_TRANSPORTS = {
    "grpc": ("tfrec.serving.grpc_transport", "GrpcTransport"),
    "http": ("tfrec.serving.rest_transport", "RestTransport"),
}


def _transport(url: str) -> _Transport:
    address = Address.parse(url)
    module, name = _TRANSPORTS[address.scheme]
    return getattr(importlib.import_module(module), name)(str(address))


def _decode(name: str, array: np.ndarray) -> np.ndarray:
    if array.dtype != object or name.endswith("_bytes"):
        return array
    strings = np.empty(array.size, object)
    strings[:] = [value.decode("utf-8", "surrogateescape") for value in array.flat]
    return strings.reshape(array.shape)
