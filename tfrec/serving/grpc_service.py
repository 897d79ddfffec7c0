"""PredictionService and ModelService over gRPC."""

import time
from collections.abc import Callable, Mapping
from functools import partial
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
from tfrec.serving.manager import Lease, ModelManager
from tfrec.serving.model_info import get_model_metadata, get_model_status
from tfrec.serving.monitoring import count_request, observe_request
from tfrec.serving.predict import DEFAULT_SIGNATURE, expected_seconds, predict
from tfrec.serving.reload import handle_reload_config
from tfrec.serving.servable import AT_ONCE_SECONDS, SMALL_BYTES
from tfrec.serving.status import ServingError
from tfrec.serving.wire import predict_response


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
_PREDICT = "Predict"


def _service(
    name: str, manager: ModelManager, calls: Mapping[str, tuple[_Call, Any, Any]]
) -> grpc.GenericRpcHandler:
    handlers = {
        method: grpc.unary_unary_rpc_method_handler(
            (_PredictHandler if method == _PREDICT else _Handler)(manager, call, request),
            None,
            serialize,
        )
        for method, (call, request, serialize) in calls.items()
    }
    return grpc.method_handlers_generic_handler(f"tensorflow.serving.{name}", handlers)


class _Handler:
    """Answers the requests of one method."""

    def __init__(self, manager: ModelManager, call: _Call, request: Any) -> None:
        self._manager = manager
        self._call = call
        self._request = request

    def __call__(self, given: Any, context: grpc.ServicerContext) -> Any:
        """Takes a request or its bytes."""
        try:
            request = self._request.FromString(given) if isinstance(given, bytes) else given
            return self._call(self._manager, request, context)
        except DecodeError:
            # gRPC would answer the same, and log a traceback for each such message.
            return context.abort(grpc.StatusCode.INTERNAL, "Exception deserializing request!")
        except ServingError as error:
            return context.abort(grpc.StatusCode[error.code], _shorten(error.message))


class _PredictHandler(_Handler):
    """Answers Predict requests, quick ones in gRPC's own thread; see `GrpcThreads`."""

    def read(self, message: bytes) -> tuple[Any, bool]:
        if len(message) > SMALL_BYTES:
            return message, False
        try:
            request = self._request.FromString(message)
        except DecodeError:
            return message, True
        try:
            with _lease(self._manager, request.model_spec) as lease:
                return request, expected_seconds(lease.servable, request) <= AT_ONCE_SECONDS
        except ServingError:  # It will be refused.
            return request, True


def _shorten(message: str) -> str:
    encoded = message.encode()
    if len(encoded) <= _MAX_MESSAGE_BYTES:
        return message
    return encoded[:_MAX_MESSAGE_BYTES].decode(errors="ignore") + "...TRUNCATED"


def _observed(api: str, infer: _Call) -> _Call:
    """A call that runs a model, and its metrics."""

    def answer(manager: ModelManager, request: Any, context: grpc.ServicerContext) -> Any:
        started = time.perf_counter()
        model = request.model_spec.name
        try:
            response = infer(manager, request, context)
        except ServingError as error:
            count_request(model, error.code)
            raise
        count_request(model, "OK")
        observe_request(model, api, "GRPC", time.perf_counter() - started)
        return response

    return answer


def _predict(
    manager: ModelManager, request: predict_pb2.PredictRequest, context: grpc.ServicerContext
) -> bytes:
    _check_spec(request)
    spec = request.model_spec
    with _lease(manager, spec) as lease:
        outputs = predict(lease.servable, request, context.time_remaining())
    signature = spec.signature_name or DEFAULT_SIGNATURE
    return predict_response(spec.name, lease.version, signature, outputs)


def _infer(
    run: Callable[..., Any], manager: ModelManager, request: Any, context: grpc.ServicerContext
) -> Any:
    _check_spec(request)
    with _lease(manager, request.model_spec) as lease:
        response = run(lease.servable, request, context.time_remaining())
    answered = response.model_spec
    answered.name = request.model_spec.name
    answered.version.value = lease.version
    return response


def _check_spec(request: Any) -> None:
    if not request.HasField("model_spec"):
        raise ServingError("INVALID_ARGUMENT", "Missing ModelSpec")


def _lease(manager: ModelManager, spec: model_pb2.ModelSpec) -> Lease:
    version = spec.version.value if spec.HasField("version") else None
    return manager.lease(spec.name, version, spec.version_label)


def _multi_inference(
    manager: ModelManager,
    request: inference_pb2.MultiInferenceRequest,
    context: grpc.ServicerContext,
) -> inference_pb2.MultiInferenceResponse:
    spec = request.tasks[0].model_spec if request.tasks else model_pb2.ModelSpec()
    with _lease(manager, spec) as lease:
        response = multi_inference(lease.servable, request, context.time_remaining())
    for result in response.results:
        result.model_spec.version.value = lease.version
    return response


_PREDICTION_CALLS: dict[str, tuple[_Call, Any, Any]] = {
    _PREDICT: (
        _observed(_PREDICT, _predict),
        predict_pb2.PredictRequest,
        bytes,
    ),
    "Classify": (
        _observed("Classify", partial(_infer, classify)),
        classification_pb2.ClassificationRequest,
        classification_pb2.ClassificationResponse.SerializeToString,
    ),
    "Regress": (
        _observed("Regress", partial(_infer, regress)),
        regression_pb2.RegressionRequest,
        regression_pb2.RegressionResponse.SerializeToString,
    ),
    "MultiInference": (
        _multi_inference,
        inference_pb2.MultiInferenceRequest,
        inference_pb2.MultiInferenceResponse.SerializeToString,
    ),
    "GetModelMetadata": (
        lambda manager, request, context: get_model_metadata(manager, request),
        get_model_metadata_pb2.GetModelMetadataRequest,
        get_model_metadata_pb2.GetModelMetadataResponse.SerializeToString,
    ),
}
_MODEL_CALLS: dict[str, tuple[_Call, Any, Any]] = {
    "GetModelStatus": (
        lambda manager, request, context: get_model_status(manager, request),
        get_model_status_pb2.GetModelStatusRequest,
        get_model_status_pb2.GetModelStatusResponse.SerializeToString,
    ),
    "HandleReloadConfigRequest": (
        lambda manager, request, context: handle_reload_config(
            manager, request, context.time_remaining()
        ),
        model_management_pb2.ReloadConfigRequest,
        model_management_pb2.ReloadConfigResponse.SerializeToString,
    ),
}
