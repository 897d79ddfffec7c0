"""The client of a model server: one interface over gRPC and REST."""

import time
from collections.abc import Coroutine, Mapping
from types import TracebackType
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from tfrec.serving.client_calls import CALL_SECONDS, ClientCalls
from tfrec.serving.signature import Signature
from tfrec.serving.status import VersionStatus

_Answer = TypeVar("_Answer")


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
        self._calls = ClientCalls(url, "", _block)

    def predict(
        self,
        model: str,
        inputs: Mapping[str, ArrayLike],
        *,
        signature: str = "serving_default",
        version: int | None = None,
        timeout_seconds: float = CALL_SECONDS,
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
        return _finish(self._calls.predict(model, inputs, signature, version, timeout_seconds))

    def status(self, model: str) -> list[VersionStatus]:
        """The states of a model's versions, newest first.

        Raises:
          UserError: if no server answers.
          ServingError: if the server does not know the model.
        """
        return _finish(self._calls.status(model))

    def metadata(self, model: str, version: int | None = None) -> dict[str, Signature]:
        """The signatures of a version by name.

        Args:
          model: the model's name on the server.
          version: which version; None means the newest that is available.

        Raises:
          UserError: if no server answers.
          ServingError: if the server does not know the model or the version.
        """
        return dict(_finish(self._calls.metadata(model, version)).signatures)

    def close(self) -> None:
        """Closes the connection."""
        _finish(self._calls.close())

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


async def _block(seconds: float) -> None:
    time.sleep(seconds)


def _finish(call: Coroutine[Any, Any, _Answer]) -> _Answer:
    """Runs a coroutine in which everything blocks, so that it ends at once."""
    try:
        call.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("a call of the blocking client waits for an event loop")
