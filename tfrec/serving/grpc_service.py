"""PredictionService and ModelService over gRPC."""

from collections.abc import Callable
from typing import Any

import grpc
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    predict_pb2,
)

from tfrec.serving.manager import ModelManager
from tfrec.serving.model_info import get_model_metadata, get_model_status
from tfrec.serving.predict import predict
from tfrec.serving.status import ServingError


def add_services(server: grpc.Server, manager: ModelManager) -> None:
    """Registers the services on a server that is not yet started.

    A method that is not listed here answers UNIMPLEMENTED.

    Args:
      server: where to register them.
      manager: the models to answer for.
    """
    prediction_service = {
        "Predict": _handler(
            manager, _predict, predict_pb2.PredictRequest, predict_pb2.PredictResponse
        ),
        "GetModelMetadata": _handler(
            manager,
            lambda manager, request, context: get_model_metadata(manager, request),
            get_model_metadata_pb2.GetModelMetadataRequest,
            get_model_metadata_pb2.GetModelMetadataResponse,
        ),
    }
    model_service = {
        "GetModelStatus": _handler(
            manager,
            lambda manager, request, context: get_model_status(manager, request),
            get_model_status_pb2.GetModelStatusRequest,
            get_model_status_pb2.GetModelStatusResponse,
        ),
    }
    server.add_generic_rpc_handlers(
        (
            grpc.method_handlers_generic_handler(
                "tensorflow.serving.PredictionService", prediction_service
            ),
            grpc.method_handlers_generic_handler("tensorflow.serving.ModelService", model_service),
        )
    )


_MAX_MESSAGE_BYTES = 1024


def _handler(
    manager: ModelManager,
    call: Callable[[ModelManager, Any, grpc.ServicerContext], Any],
    request_type: Any,
    response_type: Any,
) -> grpc.RpcMethodHandler:
    def answer(request: Any, context: grpc.ServicerContext) -> Any:
        try:
            return call(manager, request, context)
        except ServingError as error:
            return context.abort(grpc.StatusCode[error.code], _shorten(error.message))

    return grpc.unary_unary_rpc_method_handler(
        answer, request_type.FromString, response_type.SerializeToString
    )


def _predict(
    manager: ModelManager, request: predict_pb2.PredictRequest, context: grpc.ServicerContext
) -> predict_pb2.PredictResponse:
    if not request.HasField("model_spec"):
        raise ServingError("INVALID_ARGUMENT", "Missing ModelSpec")
    spec = request.model_spec
    version = spec.version.value if spec.HasField("version") else None
    with manager.lease(spec.name, version, spec.version_label) as lease:
        response = predict(lease.servable, request, context.time_remaining())
    response.model_spec.name = spec.name
    response.model_spec.version.value = lease.version
    return response


def _shorten(message: str) -> str:
    encoded = message.encode()
    if len(encoded) <= _MAX_MESSAGE_BYTES:
        return message
    return encoded[:_MAX_MESSAGE_BYTES].decode(errors="ignore") + "...TRUNCATED"
