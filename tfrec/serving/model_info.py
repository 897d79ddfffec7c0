"""The calls that tell about a model, apart from any transport: its status and its metadata."""

import grpc
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2

from tfrec.serving.manager import ModelManager
from tfrec.serving.status import ServingError

SIGNATURE_DEF = "signature_def"


def get_model_status(
    manager: ModelManager, request: get_model_status_pb2.GetModelStatusRequest
) -> get_model_status_pb2.GetModelStatusResponse:
    """Answers a GetModelStatusRequest: one version, or all of them, newest first.

    Raises:
      ServingError: if the request names no model, or the model or version is unknown.
    """
    if not request.HasField("model_spec"):
        raise ServingError("INVALID_ARGUMENT", "Missing ModelSpec")
    spec = request.model_spec
    version = spec.version.value if spec.HasField("version") else None
    response = get_model_status_pb2.GetModelStatusResponse()
    for status in manager.statuses(spec.name, version):
        answer = response.model_version_status.add()
        answer.version = status.version
        answer.state = get_model_status_pb2.ModelVersionStatus.State.Value(status.state)
        answer.status.error_code = grpc.StatusCode[status.error_code].value[0]
        answer.status.error_message = status.error_message
    return response


def get_model_metadata(
    manager: ModelManager, request: get_model_metadata_pb2.GetModelMetadataRequest
) -> get_model_metadata_pb2.GetModelMetadataResponse:
    """Answers a GetModelMetadataRequest: the signatures of a version.

    Raises:
      ServingError: if the request names no model, the model or version is unknown, or a field
        other than `signature_def` is asked for.
    """
    if not request.HasField("model_spec"):
        raise ServingError("INVALID_ARGUMENT", "Missing ModelSpec")
    if not request.metadata_field:
        raise ServingError(
            "INVALID_ARGUMENT", "GetModelMetadataRequest must specify at least one metadata_field"
        )
    for field in request.metadata_field:
        if field != SIGNATURE_DEF:
            # TensorFlow Serving puts its own format string, unfilled, in front of the field.
            raise ServingError("INVALID_ARGUMENT", f"Metadata field %s is not supported{field}")
    spec = request.model_spec
    version = spec.version.value if spec.HasField("version") else None
    response = get_model_metadata_pb2.GetModelMetadataResponse()
    with manager.lease(spec.name, version, spec.version_label) as lease:
        response.model_spec.name = spec.name
        response.model_spec.version.value = lease.version
        signatures = get_model_metadata_pb2.SignatureDefMap()
        for name, signature in lease.servable.signatures.items():
            signatures.signature_def[name].CopyFrom(signature.proto)
    response.metadata[SIGNATURE_DEF].Pack(signatures)
    return response
