"""The description of the service: OpenAPI 3.1, of the same operations and models that answer."""

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

import tfrec
from tfrec.service.http.config import Limits
from tfrec.service.http.messages import FaultReply
from tfrec.service.http.operations import Operation

JSON = "application/json"
Schema = dict[str, Any]
Mode = Literal["validation", "serialization"]

_REF = "#/components/schemas/{model}"
_EVERYWHERE = (405, 421, 431, 500)
_WITH_KEYS = (401, 403)
_ATTRIBUTE = re.compile(r"^  (\w+): ")
_MEANINGS = {
    200: "The answer.",
    400: "The body is not JSON; the message says where.",
    401: "No key, or one that is unknown or has expired.",
    403: "The key has not the scope.",
    404: "What the request names is not there.",
    405: "The address does not take this method; `Allow` says which it takes.",
    408: "The body did not come in time.",
    413: "The body is too large.",
    415: "The body is not sent as JSON.",
    421: "The service does not go by the name that it was asked by.",
    422: "A field is wrong; the message has its name, its value and the remedy.",
    429: "Too many requests; `Retry-After` says when to ask again.",
    431: "The headers are too large.",
    500: "A fault of the service; its log has it under the id in `X-Request-Id`.",
    503: "A part that this needs does not answer now; ask again.",
}
_EXAMPLES: dict[str, Any] = {
    "recommend": {"scenario": "home", "user": "2375", "k": 5, "explain": True},
    "guide": {"message": "snacks for a children's party, under 10 dollars, no nuts", "k": 5},
    "send_events": {
        "events": [{"id": "a1", "type": "click", "user": "2375", "item": "1029743"}],
    },
}  # fmt: skip


def describe(operations: Sequence[Operation], limits: Limits, needs_keys: bool) -> Schema:
    """Describes the service.

    Args:
      operations: all that it takes.
      limits: what is too much.
      needs_keys: whether callers need a key.

    Returns:
      The document.
    """
    models = _models(operations)
    refs, definitions = models_json_schema(models, ref_template=_REF)
    schemas = definitions["$defs"]
    for schema in schemas.values():
        _tell_attributes(schema)
    _widen_events(schemas, limits)
    schemas["RecommendationRequest"]["allOf"] = [
        _if_scenario(["similar", "complementary"], "items", {"minItems": 1}),
        _if_scenario(["search"], "query", {"type": "string"}),
    ]
    paths: Schema = {}
    for operation in operations:
        described = _operation(operation, refs, needs_keys)
        paths.setdefault(operation.path, {})[operation.method.lower()] = described
    components: Schema = {"schemas": schemas}
    if needs_keys:
        components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "tfrec gateway",
            "version": tfrec.__version__,
            "description": "What should this shopper see now, and why.",
        },
        "paths": paths,
        "components": components,
    }


def _models(operations: Sequence[Operation]) -> list[tuple[type[BaseModel], Mode]]:
    models: list[tuple[type[BaseModel], Mode]] = [(FaultReply, "serialization")]
    for operation in operations:
        if operation.takes:
            models.append((operation.takes, "validation"))
        if operation.answers:
            models.append((operation.answers, "serialization"))
    return models


def _operation(operation: Operation, refs: Any, needs_keys: bool) -> Schema:
    described: Schema = {
        "operationId": operation.name,
        "summary": operation.summary,
        "responses": _responses(operation, refs, needs_keys),
    }
    if names := re.findall(r"\{(\w+)\}", operation.path):
        described["parameters"] = [_parameter(name) for name in names]
    if operation.takes:
        content: Schema = {"schema": refs[(operation.takes, "validation")]}
        content["example"] = _EXAMPLES[operation.name]
        described["requestBody"] = {"required": True, "content": {JSON: content}}
    if needs_keys and operation.scope:
        described["security"] = [{"key": []}]
        described["description"] = f"Needs a key with the scope `{operation.scope}`."
    return described


def _parameter(name: str) -> Schema:
    schema = {"type": "string", "minLength": 1, "maxLength": 512}
    return {
        "name": name, "in": "path", "required": True, "description": f"Id of the {name}.",
        "schema": schema,
    }  # fmt: skip


def _responses(operation: Operation, refs: Any, needs_keys: bool) -> Schema:
    statuses = {200, *operation.faults, *_EVERYWHERE}
    if operation.path.startswith("/v1/"):
        statuses.add(429)
    if needs_keys:
        statuses.update(_WITH_KEYS)
    fault = refs[(FaultReply, "serialization")]
    good = {"text/plain": {"schema": {"type": "string"}}}
    if operation.answers:
        good = {JSON: {"schema": refs[(operation.answers, "serialization")]}}
    contents = {status: good if status == 200 else {JSON: {"schema": fault}} for status in statuses}
    if operation.name == "readiness":
        contents[503] = good
    return {
        str(status): {
            "description": _MEANINGS.get(status, HTTPStatus(status).phrase),
            "headers": _headers(status, operation),
            "content": contents[status],
        }
        for status in sorted(statuses)
    }


def _headers(status: int, operation: Operation) -> Schema:
    text, whole = {"type": "string"}, {"type": "integer"}
    headers: Schema = {"X-Request-Id": {"schema": text, "description": "Names it in logs."}}
    if status == 200 and operation.name in ("recommend", "guide"):
        meaning = "Milliseconds of each step."
        headers["Server-Timing"] = {"schema": text, "description": meaning}
    if status == 405:
        headers["Allow"] = {"schema": text}
    if status == 401:
        headers["WWW-Authenticate"] = {"schema": text}
    if status == 429:
        headers["Retry-After"] = {"schema": whole, "description": "Seconds."}
    return headers


def _tell_attributes(schema: Schema) -> None:
    """Moves what a docstring tells of attributes to their properties."""
    purpose, _, attributes = schema.get("description", "").partition("\n\nAttributes:\n")
    schema["description"] = purpose
    told: dict[str, list[str]] = {}
    name = ""
    for line in attributes.splitlines():
        if found := _ATTRIBUTE.match(line):
            name = found[1]
            told[name] = [line[found.end() :]]
        elif name:
            told[name].append(line.strip())
    for name, lines in told.items():
        text = " ".join(lines).strip()
        schema["properties"][name]["description"] = text[:1].upper() + text[1:]
    for described in schema.get("properties", {}).values():
        described.pop("title", None)


def _if_scenario(scenarios: list[str], field: str, needed: Schema) -> Schema:
    """What some scenarios need."""
    asked = {"properties": {"scenario": {"enum": scenarios}}, "required": ["scenario"]}
    return {"if": asked, "then": {"properties": {field: needed}, "required": [field]}}


def _widen_events(schemas: Schema, limits: Limits) -> None:
    """What is taken for a time is more than what it becomes; a batch has a limit."""
    schemas["EventBatch"]["properties"]["events"]["maxItems"] = limits.events
    time = schemas["Event"]["properties"]["time"]
    seconds, text = {"type": "number", "minimum": 0}, {"type": "string"}
    schemas["Event"]["properties"]["time"] = {
        "anyOf": [seconds, text, {"type": "null"}],
        "default": None,
        "description": time["description"],
    }
