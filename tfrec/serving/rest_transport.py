"""The client's calls over REST. Nothing here needs TensorFlow."""

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

import httpx
import numpy as np

from tfrec.serving.signature import ModelMetadata, Signature, TensorSpec, dtype_name
from tfrec.serving.status import ServingError, VersionStatus

_CODES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


class RestTransport:
    """Calls the paths below `/v1/models`, and blocks meanwhile."""

    _open: Callable[..., Any] = httpx.Client

    def __init__(self, address: str) -> None:
        """Describes the server at `host:port`; the first call connects."""
        self._http = self._open(base_url=f"http://{address}/v1/models/")

    async def predict(
        self,
        model: str,
        metadata: ModelMetadata,
        signature: str,
        inputs: Mapping[str, np.ndarray],
        timeout_seconds: float,
    ) -> dict[str, np.ndarray]:
        """Runs a signature of one version; strings are object arrays of bytes both ways."""
        path = f"{model_path(model, metadata.version)}:predict"
        body = predict_body(signature, inputs)
        answer = await self._call("POST", path, timeout_seconds, body)
        outputs = answer["outputs"]
        specs = metadata.signatures[signature].outputs
        if len(specs) == 1:
            outputs = dict.fromkeys(specs, outputs)
        return {name: _from_json(outputs[name], specs[name]) for name in sorted(specs)}

    async def status(self, model: str, timeout_seconds: float) -> list[VersionStatus]:
        """The states of a model's versions."""
        answer = await self._call("GET", model_path(model), timeout_seconds)
        return [
            VersionStatus(
                int(version["version"]),
                version["state"],
                version["status"]["error_code"],
                version["status"]["error_message"],
            )
            for version in answer["model_version_status"]
        ]

    async def metadata(
        self, model: str, version: int | None, timeout_seconds: float
    ) -> ModelMetadata:
        """The signatures of a version, the newest for None."""
        answer = await self._call("GET", f"{model_path(model, version)}/metadata", timeout_seconds)
        signatures = answer["metadata"]["signature_def"]["signature_def"]
        return ModelMetadata(
            int(answer["model_spec"]["version"]),
            {name: _signature(fields) for name, fields in signatures.items()},
        )

    async def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    async def _call(
        self, method: str, path: str, timeout_seconds: float, body: bytes | None = None
    ) -> Any:
        try:
            response = await self._send(method, path, content=body, timeout=timeout_seconds)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise ConnectionError(str(error)) from error
        except httpx.TimeoutException as error:
            raise ServingError("DEADLINE_EXCEEDED", "Deadline Exceeded") from error
        except httpx.TransportError as error:
            raise ServingError("UNAVAILABLE", str(error)) from error
        text = response.content.decode("utf-8", "surrogateescape")
        if response.status_code == httpx.codes.OK:
            return json.loads(text)
        raise ServingError(status_name(response.status_code), _error_message(text))

    async def _send(self, *request: Any, **options: Any) -> httpx.Response:
        return self._http.request(*request, **options)


class AsyncRestTransport(RestTransport):
    """The same in an event loop."""

    _open = httpx.AsyncClient

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    async def _send(self, *request: Any, **options: Any) -> httpx.Response:
        return await self._http.request(*request, **options)


def predict_body(signature: str, inputs: Mapping[str, np.ndarray]) -> bytes:
    """The body of a predict request; strings are object arrays of bytes."""
    values = {name: _to_json(array) for name, array in inputs.items()}
    return json.dumps({"signature_name": signature, "inputs": values}).encode()


def status_name(code: int) -> str:
    """The name of the gRPC status that an HTTP status stands for."""
    return "OK" if code == httpx.codes.OK else _CODES.get(code, "UNKNOWN")


def model_path(model: str, version: int | None = None) -> str:
    """The path of a model, or of a version of it, below `/v1/models/`."""
    name = quote(model, safe="")
    return name if version is None else f"{name}/versions/{version}"


def _error_message(text: str) -> str:
    try:
        return json.loads(text)["error"]
    except (ValueError, KeyError, TypeError):
        return text.strip() or "the server gave no reason"


def _signature(fields: dict[str, Any]) -> Signature:
    return Signature(
        {name: _spec(info) for name, info in fields["inputs"].items()},
        {name: _spec(info) for name, info in fields["outputs"].items()},
        fields["method_name"],
    )


def _spec(info: dict[str, Any]) -> TensorSpec:
    dtype, shape = dtype_name(info["dtype"]), info["tensor_shape"]
    if shape["unknown_rank"]:
        return TensorSpec(dtype, None)
    sizes = (int(dim["size"]) for dim in shape["dim"])
    return TensorSpec(dtype, tuple(None if size < 0 else size for size in sizes))


def _to_json(array: np.ndarray) -> Any:
    if array.dtype != object:
        return array.tolist()
    values = np.empty(array.size, object)
    values[:] = [_string_to_json(value) for value in array.flat]
    return values.reshape(array.shape).tolist()


def _string_to_json(value: bytes) -> str | dict[str, str]:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"b64": base64.b64encode(value).decode()}


def _from_json(value: Any, spec: TensorSpec) -> np.ndarray:
    if spec.dtype != "string":
        return _with_lost_dimensions(np.array(value, spec.dtype), spec)
    texts = np.array(value, object)
    strings = np.empty(texts.size, object)
    strings[:] = [_string_from_json(text) for text in texts.flat]
    return _with_lost_dimensions(strings.reshape(texts.shape), spec)


def _string_from_json(value: str | dict[str, str]) -> bytes:
    if isinstance(value, dict):
        return base64.b64decode(value["b64"])
    return value.encode("utf-8", "surrogateescape")


def _with_lost_dimensions(array: np.ndarray, spec: TensorSpec) -> np.ndarray:
    """JSON writes a `[0, 3]` array as `[]`; the signature knows the rest of its shape."""
    if array.size or spec.shape is None:
        return array
    return array.reshape(array.shape + tuple(size or 0 for size in spec.shape[array.ndim :]))
