"""The REST API: addresses, status codes and bodies."""

import asyncio
import gzip
import io
import math
import re
import time
import zlib
from collections.abc import Awaitable, Callable, MutableMapping
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import unquote

from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
    regression_pb2,
)

from tfrec.serving import json_examples, json_format, json_parse
from tfrec.serving.inference import classify, regress
from tfrec.serving.manager import ModelManager
from tfrec.serving.model_info import SIGNATURE_DEF, get_model_metadata, get_model_status
from tfrec.serving.monitoring import count_request, observe_request, render_metrics
from tfrec.serving.predict import DEFAULT_SIGNATURE, predict_arrays
from tfrec.serving.request_size import request_size
from tfrec.serving.servable import AT_ONCE_SECONDS, SMALL_BYTES
from tfrec.serving.status import ServingError

HTTP_STATUS = {
    "OK": 200,
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "ABORTED": 409,
    "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499,
    "UNKNOWN": 500,
    "INTERNAL": 500,
    "DATA_LOSS": 500,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}


class Reply(NamedTuple):
    """What goes back to the client."""

    status: int
    body: bytes
    content_type: str = "application/json"


class RestApi:
    """An ASGI application that answers for the models of a manager."""

    def __init__(
        self, manager: ModelManager, timeout_seconds: float, monitoring_path: str | None = None
    ) -> None:
        """Answers requests from `manager`.

        Args:
          manager: the models.
          timeout_seconds: a model run is stopped after this time.
          monitoring_path: path of the metrics; None shows them nowhere.
        """
        self._manager = manager
        self._timeout_seconds = timeout_seconds
        self._monitoring_path = monitoring_path

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
        send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ) -> None:
        """Serves one HTTP request.

        Models run in the threads of the event loop's executor, but for those that take less time
        than the way there.
        """
        chunks, more = [], True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            chunks.append(message.get("body", b""))
            more = message.get("more_body", False)
        path = scope["raw_path"].decode("latin-1")
        if scope["query_string"]:
            path += "?" + scope["query_string"].decode("latin-1")
        request = scope["method"], path, dict(scope["headers"]), b"".join(chunks)
        reply = self._answer_at_once(*request)
        if reply is None:
            loop = asyncio.get_running_loop()
            reply = await loop.run_in_executor(None, self.answer, *request)
        content_headers = [
            (b"content-type", reply.content_type.encode()),
            (b"content-length", str(len(reply.body)).encode()),
        ]
        await send(
            {"type": "http.response.start", "status": reply.status, "headers": content_headers}
        )
        await send({"type": "http.response.body", "body": reply.body})

    def _answer_at_once(
        self, method: str, path: str, headers: dict[bytes, bytes], body: bytes
    ) -> Reply | None:
        """The answer of a model that takes less time than to give the request to a thread."""
        small = len(body) <= SMALL_BYTES and b"content-encoding" not in headers
        if not (small and path.endswith(":predict")):
            return None
        try:
            return self.answer(method, path, headers, body, AT_ONCE_SECONDS)
        except _TakesLongerError:
            return None

    def answer(
        self,
        method: str,
        path: str,
        headers: dict[bytes, bytes],
        body: bytes,
        most_seconds: float = math.inf,
    ) -> Reply:
        """Answers one request.

        Args:
          method: the HTTP method.
          path: path and query string, percent-encoded as they came.
          headers: request headers by lower-case name, as ASGI has them.
          body: the request's body, maybe compressed.
          most_seconds: how long the model may be expected to run.

        Returns:
          Status, body and content type of the reply.
        """
        if path == self._monitoring_path:
            return Reply(200, render_metrics(), "text/plain")
        if not _API_PATH.match(path):
            return Reply(404, _NOT_FOUND_PAGE, "text/html")
        if method == "OPTIONS":
            allowed = re.match(rb"https?://", headers.get(b"origin", b""))
            return Reply(200 if allowed else 400, b"")
        if b"gzip" in headers.get(b"content-encoding", b""):
            body = _decompress(body)
        try:
            address = _find_address(method, path)
        except OverflowError:
            return Reply(400, b"")
        return self._answer_observed(method, path, address, body, most_seconds)

    def _answer_observed(
        self,
        method: str,
        path: str,
        address: "_Address | None",
        body: bytes,
        most_seconds: float,
    ) -> Reply:
        started = time.perf_counter()
        model = address.name if address else ""
        try:
            reply = Reply(200, self._dispatch(method, path, address, body, most_seconds))
        except ServingError as error:
            count_request(model, error.code)
            return Reply(HTTP_STATUS[error.code], json_format.format_error(error.message))
        count_request(model, "OK")
        api = address.verb if address and method == "POST" else ""
        observe_request(model, api, "REST", time.perf_counter() - started)
        return reply

    def _dispatch(
        self,
        method: str,
        path: str,
        address: "_Address | None",
        body: bytes,
        most_seconds: float,
    ) -> bytes:
        if address is not None and address.verb == "predict":
            return self._predict(address, body, most_seconds)
        calls = {"classify": self._classify, "regress": self._regress}
        if address is None or (method == "POST" and address.verb not in calls):
            raise ServingError("INVALID_ARGUMENT", f"Malformed request: {method} {path}")
        if method == "POST":
            return calls[address.verb](address, body)
        if not address.name:
            raise ServingError("INVALID_ARGUMENT", "Missing model name in request.")
        return self._metadata(address) if address.verb == "metadata" else self._status(address)

    def _predict(self, address: "_Address", body: bytes, most_seconds: float) -> bytes:
        document = json_parse.parse_document(body)
        name = json_parse.signature_name(document) or DEFAULT_SIGNATURE
        with self._manager.lease(address.name, address.version, address.label) as lease:
            signature = lease.servable.signatures.get(name)
            if signature is None:
                raise ServingError(
                    "INVALID_ARGUMENT",
                    f'Serving signature name: "{name}" not found in signature def',
                )
            inputs = json_parse.predict_inputs(document, signature.inputs)
            size = request_size(signature, inputs.arrays)
            if lease.servable.expected_seconds(signature, size) > most_seconds:
                raise _TakesLongerError
            outputs = predict_arrays(
                address.name, lease.servable, signature, inputs.arrays, self._timeout_seconds
            )
        if inputs.row_form:
            return json_format.format_predictions(outputs)
        return json_format.format_outputs(outputs)

    def _classify(self, address: "_Address", body: bytes) -> bytes:
        request = classification_pb2.ClassificationRequest()
        self._read_examples(address, body, request)
        with self._manager.lease(address.name, address.version, address.label) as lease:
            response = classify(lease.servable, request, self._timeout_seconds)
        return json_format.format_classifications(response.result)

    def _regress(self, address: "_Address", body: bytes) -> bytes:
        request = regression_pb2.RegressionRequest()
        self._read_examples(address, body, request)
        with self._manager.lease(address.name, address.version, address.label) as lease:
            response = regress(lease.servable, request, self._timeout_seconds)
        return json_format.format_regressions(response.result)

    def _read_examples(self, address: "_Address", body: bytes, request: Any) -> None:
        document = json_parse.parse_document(body)
        request.model_spec.name = address.name
        request.model_spec.signature_name = json_parse.signature_name(document)
        request.input.CopyFrom(json_examples.read_examples(document))

    def _status(self, address: "_Address") -> bytes:
        request = get_model_status_pb2.GetModelStatusRequest(model_spec=address.model_spec())
        return json_format.format_model_status(get_model_status(self._manager, request))

    def _metadata(self, address: "_Address") -> bytes:
        request = get_model_metadata_pb2.GetModelMetadataRequest(
            model_spec=address.model_spec(), metadata_field=[SIGNATURE_DEF]
        )
        return json_format.format_model_metadata(get_model_metadata(self._manager, request))


class _TakesLongerError(Exception):
    """The model is expected to run for longer than it may."""


_API_PATH = re.compile(r"(?i)/v1/")
_VERSION_OR_LABEL = r"(?:/versions/(?P<version>[0-9]+)|/labels/(?P<label>[^/:]+))?"
_POST_PATH = re.compile(
    rf"(?i)/v1/models/(?P<name>[^/:]+){_VERSION_OR_LABEL}:(?P<verb>classify|regress|predict)"
)
_GET_PATH = re.compile(
    rf"(?i)/v1/models(?:/(?P<name>[^/:]+))?{_VERSION_OR_LABEL}(?:/(?P<verb>metadata))?"
)
_NOT_FOUND_PAGE = (
    b"<HTML><HEAD>\n<TITLE>404 Not Found</TITLE>\n</HEAD><BODY>\n<H1>Not Found</H1>\n"
    b"</BODY></HTML>\n"
)


class _Address(NamedTuple):
    """What a path names. Everything in it matches in any case, but the verb counts as written."""

    name: str
    version: int | None
    label: str
    verb: str

    def model_spec(self) -> model_pb2.ModelSpec:
        spec = model_pb2.ModelSpec(name=self.name)
        if self.version is not None:
            spec.version.value = self.version
        elif self.label:
            spec.version_label = self.label
        return spec


@lru_cache(128)
def _find_address(method: str, path: str) -> _Address | None:
    pattern = {"POST": _POST_PATH, "GET": _GET_PATH}.get(method)
    match = pattern.fullmatch(path) if pattern else None
    if match is None:
        return None
    version = int(match["version"]) if match["version"] else None
    if version is not None and version >= 2**63:
        raise OverflowError(f"version {version} is no int64")
    return _Address(
        unquote(match["name"] or ""), version, unquote(match["label"] or ""), match["verb"] or ""
    )


_MOST_DECOMPRESSED_BYTES = 2**28


def _decompress(body: bytes) -> bytes:
    """A body that cannot be decompressed, or is too large then, counts as empty."""
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(body)) as file:
            text = file.read(_MOST_DECOMPRESSED_BYTES + 1)
    except (OSError, EOFError, zlib.error):
        return b""
    return text if len(text) <= _MOST_DECOMPRESSED_BYTES else b""
