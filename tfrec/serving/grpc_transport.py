"""The client's calls over gRPC."""

import asyncio
import socket
from collections.abc import Callable, Mapping
from typing import Any

import grpc
import numpy as np
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from tfrec.serving.signature import ModelMetadata, Signature, TensorSpec, dtype_name
from tfrec.serving.status import ServingError, VersionStatus
from tfrec.serving.tensors import fill_proto, from_proto


class GrpcTransport:
    """Calls PredictionService and ModelService, and blocks meanwhile."""

    _open = staticmethod(grpc.insecure_channel)

    def __init__(self, address: str) -> None:
        """Describes the server at `host:port`; the first call connects."""
        options = [
            ("grpc.max_receive_message_length", -1),
            ("grpc.max_send_message_length", -1),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.min_reconnect_backoff_ms", 100),
            # Otherwise a server that was away for long is not found again for two minutes.
            ("grpc.max_reconnect_backoff_ms", 1000),
        ]
        self._address = address
        self._channel = self._open(address, options=options)
        self._predictions = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
        self._models = model_service_pb2_grpc.ModelServiceStub(self._channel)

    async def predict(
        self,
        model: str,
        metadata: ModelMetadata,
        signature: str,
        inputs: Mapping[str, np.ndarray],
        timeout_seconds: float,
    ) -> dict[str, np.ndarray]:
        """Runs a signature of one version; strings are object arrays of bytes both ways."""
        request = predict_request(model, signature, inputs)
        request.model_spec.version.value = metadata.version
        response = await self._call(self._predictions.Predict, request, timeout_seconds)
        return {name: from_proto(response.outputs[name]) for name in sorted(response.outputs)}

    async def status(self, model: str, timeout_seconds: float) -> list[VersionStatus]:
        """The states of a model's versions."""
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = model
        response = await self._call(self._models.GetModelStatus, request, timeout_seconds)
        codes = {code.value[0]: code.name for code in grpc.StatusCode}
        return [
            VersionStatus(
                answer.version,
                get_model_status_pb2.ModelVersionStatus.State.Name(answer.state),
                codes[answer.status.error_code],
                answer.status.error_message,
            )
            for answer in response.model_version_status
        ]

    async def metadata(
        self, model: str, version: int | None, timeout_seconds: float
    ) -> ModelMetadata:
        """The signatures of a version, the newest for None."""
        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        request.model_spec.name = model
        if version is not None:
            request.model_spec.version.value = version
        response = await self._call(self._predictions.GetModelMetadata, request, timeout_seconds)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        response.metadata["signature_def"].Unpack(signatures)
        return ModelMetadata(
            response.model_spec.version.value,
            {name: _signature(proto) for name, proto in signatures.signature_def.items()},
        )

    async def close(self) -> None:
        """Closes the connection."""
        self._channel.close()

    async def _call(self, method: Callable[..., Any], request: Any, timeout_seconds: float) -> Any:
        try:
            return await self._send(method, request, timeout_seconds)
        except grpc.RpcError as error:
            code = error.code().name
            if code == "UNAVAILABLE":
                await self._check_listening()
            raise ServingError(code, error.details()) from error

    async def _send(self, method: Callable[..., Any], request: Any, timeout_seconds: float) -> Any:
        return method(request, timeout=timeout_seconds)

    async def _check_listening(self) -> None:
        """Tells a server that is busy from none at all, as gRPC's status does not."""
        self._knock()

    def _knock(self) -> None:
        host, _, port = self._address.rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=1.0).close()
        except OSError as error:
            raise ConnectionError(str(error)) from error


class AsyncGrpcTransport(GrpcTransport):
    """The same in an event loop."""

    _open = staticmethod(grpc.aio.insecure_channel)

    async def close(self) -> None:
        """Closes the connection."""
        await self._channel.close()

    async def _send(self, method: Callable[..., Any], request: Any, timeout_seconds: float) -> Any:
        return await method(request, timeout=timeout_seconds)

    async def _check_listening(self) -> None:
        await asyncio.to_thread(self._knock)


def predict_request(
    model: str, signature: str, inputs: Mapping[str, np.ndarray]
) -> predict_pb2.PredictRequest:
    """The message of a call of Predict; strings are object arrays of bytes."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    request.model_spec.signature_name = signature
    for name, array in inputs.items():
        fill_proto(array, request.inputs[name])
    return request


def _signature(proto: meta_graph_pb2.SignatureDef) -> Signature:
    return Signature(
        {name: _spec(info) for name, info in proto.inputs.items()},
        {name: _spec(info) for name, info in proto.outputs.items()},
        proto.method_name,
    )


def _spec(info: meta_graph_pb2.TensorInfo) -> TensorSpec:
    dtype = dtype_name(types_pb2.DataType.Name(info.dtype))
    if info.tensor_shape.unknown_rank:
        return TensorSpec(dtype, None)
    sizes = (dim.size for dim in info.tensor_shape.dim)
    return TensorSpec(dtype, tuple(None if size < 0 else size for size in sizes))
