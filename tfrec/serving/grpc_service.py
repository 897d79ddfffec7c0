"""PredictionService and ModelService over gRPC."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    model_pb2,
    predict_pb2,
    regression_pb2,
)

from tfrec.serving.inference import classify, multi_inference, regress
from tfrec.serving.manager import ModelManager
from tfrec.serving.model_info import get_model_metadata, get_model_status
from tfrec.serving.monitoring import count_request, observe_request
from tfrec.serving.predict import predict
from tfrec.serving.reload import handle_reload_config
from tfrec.serving.status import ServingError


def add_services(server: grpc.Server, manager: ModelManager) -> None:
    """Registers the services on a server that is not yet started.

    Args:
      server: where to register them.
      manager: the models to answer for.
    """
    server.add_generic_rpc_handlers(
        (
            _service("PredictionService", manager, _PREDICTION_CALLS),
            _service("ModelService", manager, _MODEL_CALLS),
        )
    )


_Call = Callable[[ModelManager, Any, grpc.ServicerContext], Any]

_MAX_MESSAGE_BYTES = 1024


def _service(
    name: str, manager: ModelManager, calls: Mapping[str, tuple[_Call, Any, Any]]
) -> grpc.GenericRpcHandler:
    handlers = {
        method: grpc.unary_unary_rpc_method_handler(
            _handler(manager, call, request), None, response.SerializeToString
        )
        for method, (call, request, response) in calls.items()
    }
    return grpc.method_handlers_generic_handler(f"tensorflow.serving.{name}", handlers)


def _handler(
    manager: ModelManager, call: _Call, request: Any
) -> Callable[[bytes, grpc.ServicerContext], Any]:
    def answer(message: bytes, context: grpc.ServicerContext) -> Any:
        try:
            return call(manager, request.FromString(message), context)
        except DecodeError:
            # gRPC would answer the same, and log a traceback for each such message.
            return context.abort(grpc.StatusCode.INTERNAL, "Exception deserializing request!")
        except ServingError as error:
            return context.abort(grpc.StatusCode[error.code], _shorten(error.message))

    return answer


def _shorten(message: str) -> str:
    encoded = message.encode()
    if len(encoded) <= _MAX_MESSAGE_BYTES:
        return message
    return encoded[:_MAX_MESSAGE_BYTES].decode(errors="ignore") + "...TRUNCATED"


def _observed(api: str, run: Callable[..., Any]) -> _Call:
    """A call that runs a model, and its metrics."""

    def answer(manager: ModelManager, request: Any, context: grpc.ServicerContext) -> Any:
        started = time.perf_counter()
        model = request.model_spec.name
        try:
            response = _infer(run, manager, request, context)
        except ServingError as error:
            count_request(model, error.code)
            raise
        count_request(model, "OK")
        observe_request(model, api, "GRPC", time.perf_counter() - started)
        return response

    return answer


def _infer(
    run: Callable[..., Any], manager: ModelManager, request: Any, context: grpc.ServicerContext
) -> Any:
    if not request.HasField("model_spec"):
        raise ServingError("INVALID_ARGUMENT", "Missing ModelSpec")
    spec = request.model_spec
    version = spec.version.value if spec.HasField("version") else None
    with manager.lease(spec.name, version, spec.version_label) as lease:
        response = run(lease.servable, request, context.time_remaining())
    response.model_spec.name = spec.name
    response.model_spec.version.value = lease.version
    return response


def _multi_inference(
    manager: ModelManager,
    request: inference_pb2.MultiInferenceRequest,
    context: grpc.ServicerContext,
) -> inference_pb2.MultiInferenceResponse:
    spec = request.tasks[0].model_spec if request.tasks else model_pb2.ModelSpec()
    version = spec.version.value if spec.HasField("version") else None
    with manager.lease(spec.name, version, spec.version_label) as lease:
        response = multi_inference(lease.servable, request, context.time_remaining())
    for result in response.results:
        result.model_spec.version.value = lease.version
    return response


_PREDICTION_CALLS: dict[str, tuple[_Call, Any, Any]] = {
    "Predict": (
        _observed("Predict", predict),
        predict_pb2.PredictRequest,
        predict_pb2.PredictResponse,
    ),
    "Classify": (
        _observed("Classify", classify),
        classification_pb2.ClassificationRequest,
        classification_pb2.ClassificationResponse,
    ),
    "Regress": (
        _observed("Regress", regress),
        regression_pb2.RegressionRequest,
        regression_pb2.RegressionResponse,
    ),
    "MultiInference": (
        _multi_inference,
        inference_pb2.MultiInferenceRequest,
        inference_pb2.MultiInferenceResponse,
    ),
    "GetModelMetadata": (
        lambda manager, request, context: get_model_metadata(manager, request),
        get_model_metadata_pb2.GetModelMetadataRequest,
        get_model_metadata_pb2.GetModelMetadataResponse,
    ),
}
_MODEL_CALLS: dict[str, tuple[_Call, Any, Any]] = {
    "GetModelStatus": (
        lambda manager, request, context: get_model_status(manager, request),
        get_model_status_pb2.GetModelStatusRequest,
        get_model_status_pb2.GetModelStatusResponse,
    ),
    "HandleReloadConfigRequest": (
        lambda manager, request, context: handle_reload_config(
            manager, request, context.time_remaining()
        ),
        model_management_pb2.ReloadConfigRequest,
        model_management_pb2.ReloadConfigResponse,
    ),
}
