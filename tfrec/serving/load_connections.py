"""Connections of a load test: requests are encoded beforehand, answers are not decoded."""

import http.client
import select
from collections.abc import Mapping

import grpc
import numpy as np

from tfrec.errors import UserError
from tfrec.serving.address import Address
from tfrec.serving.grpc_transport import predict_request
from tfrec.serving.load_test import OK, TIMED_OUT
from tfrec.serving.rest_transport import model_path, predict_body, status_name

_CONNECT_SECONDS = 5.0
_PREDICT = "/tensorflow.serving.PredictionService/Predict"


def encode(address: Address, model: str, signature: str, inputs: Mapping[str, np.ndarray]) -> bytes:
    """Encodes a request for the newest version, as the protocol of `address` has it.

    Args:
      address: the server.
      model: the model's name there.
      signature: which of its signatures to run.
      inputs: an array for each input; see `check_inputs`.

    Returns:
      A serialised PredictRequest, or the body of a REST request.
    """
    if address.scheme == "grpc":
        return predict_request(model, signature, inputs).SerializeToString()
    return predict_body(signature, inputs)


def connect(address: Address, model: str) -> "GrpcConnection | RestConnection":
    """Makes a connection, which is a `Call`.

    Raises:
      UserError: if none answers.
    """
    try:
        return (
            GrpcConnection(address) if address.scheme == "grpc" else RestConnection(address, model)
        )
    except (OSError, grpc.FutureTimeoutError) as error:
        raise UserError(
            f"{address.scheme}://{address}: no server answers; start one with "
            "`tfrec serve MODEL_ROOT`"
        ) from error


class GrpcConnection:
    """A channel that shares its connection with no other."""

    def __init__(self, address: Address) -> None:
        """Connects."""
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1)]
        self._channel = grpc.insecure_channel(str(address), options)
        try:
            grpc.channel_ready_future(self._channel).result(_CONNECT_SECONDS)
        except grpc.FutureTimeoutError:
            self.close()
            raise
        self._predict = self._channel.unary_unary(_PREDICT)

    def __call__(self, request: bytes, timeout_seconds: float) -> str:
        """Sends a serialised PredictRequest."""
        try:
            self._predict(request, timeout=timeout_seconds)
        except grpc.RpcError as error:
            return error.code().name
        return OK

    def close(self) -> None:
        """Disconnects."""
        self._channel.close()


class RestConnection:
    """A connection that is kept alive; opened anew once the server has closed it."""

    def __init__(self, address: Address, model: str) -> None:
        """Connects."""
        self._path = f"/v1/models/{model_path(model)}:predict"
        host = address.host.strip("[]")
        self._http = http.client.HTTPConnection(host, address.port, _CONNECT_SECONDS)
        self._http.connect()

    def __call__(self, request: bytes, timeout_seconds: float) -> str:
        """Sends a body."""
        self._prepare(timeout_seconds)
        try:
            self._http.request("POST", self._path, request)
            response = self._http.getresponse()
            response.read()
        except TimeoutError:
            self._http.close()
            return TIMED_OUT
        except (OSError, http.client.HTTPException):
            self._http.close()
            return "UNAVAILABLE"
        return status_name(response.status)

    def close(self) -> None:
        """Disconnects."""
        self._http.close()

    @property
    def closed_by_server(self) -> bool:
        """Whether the server closed the connection while it was idle."""
        return self._http.sock is not None and bool(select.select([self._http.sock], [], [], 0)[0])

    def _prepare(self, timeout_seconds: float) -> None:
        """Leaves a connection that the server closed: no request was lost by it."""
        if self.closed_by_server:
            self._http.close()
        self._http.timeout = timeout_seconds
        if self._http.sock is not None:
            self._http.sock.settimeout(timeout_seconds)
