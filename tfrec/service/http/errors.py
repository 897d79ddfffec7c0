"""What is answered when a request is not: one shape for every fault."""

import re
import reprlib
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from tfrec.errors import UserError
from tfrec.service.event_log import LogError
from tfrec.service.feature_store import StoreError
from tfrec.service.gateway import UnknownItemError

_SHOWN = 80
_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = _REPR.maxlong = _SHOWN
_REPR.maxlevel, _REPR.maxlist, _REPR.maxdict = 2, 3, 3
_FIELD = re.compile(r"([A-Za-z_][\w.\[\]-]*): ")
_LATER = {"retry-after": "1"}


class HttpError(Exception):
    """A request that gets no answer but why.

    Attributes:
      status: HTTP's.
      code: for programs.
      message: for people: the field, its value and the remedy.
      field: of the request, where one is wrong.
      headers: that go with it.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        field: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Takes what is told."""
        super().__init__(message)
        self.status, self.code, self.message, self.field = status, code, message, field
        self.headers = dict(headers or {})

    def response(self) -> Response:
        """The answer."""
        error = {"code": self.code, "message": self.message}
        if self.field:
            error["field"] = self.field
        return Response(
            orjson.dumps({"error": error}), self.status, self.headers, "application/json"
        )


def wrong_field(field: str, message: str) -> HttpError:
    """A field that cannot be right.

    Args:
      field: its dotted name.
      message: its value, what is wrong with it and the remedy.
    """
    return HttpError(422, "wrong_field", f"{field}: {message}", field)


def http_error(error: Exception) -> HttpError | None:
    """What is told of an error that a request or a lost part brought about.

    Returns:
      It; None for an error of ours.
    """
    if isinstance(error, HttpError):
        return error
    if isinstance(error, UnknownItemError):
        return HttpError(404, "unknown_item", str(error), "items")
    if isinstance(error, UserError):
        found = _FIELD.match(str(error))
        return HttpError(422, "wrong_field", str(error), found[1] if found else None)
    if isinstance(error, LogError):
        message = "events cannot be written now, and none of them is taken; send them again"
        return HttpError(503, "log_unavailable", message, headers=_LATER)
    if isinstance(error, StoreError):
        message = "the feature store does not answer; ask again"
        return HttpError(503, "store_unavailable", message, headers=_LATER)
    if isinstance(error, HTTPException):
        return _of_router(error)
    return None


def explain(error: ValidationError, model: type[BaseModel], content: Any) -> HttpError:
    """What is wrong with a body.

    Args:
      error: of its validation.
      model: that it was to be.
      content: the body, parsed.
    """
    problem = error.errors(include_url=False)[0]
    kind = problem["type"]
    keep_last = kind in ("missing", "extra_forbidden")
    field = ".".join(map(str, _written(problem["loc"], content, keep_last)))
    if kind == "missing":
        return wrong_field(field, "missing; send it")
    if kind == "extra_forbidden":
        known = f"; known: {', '.join(model.model_fields)}" if "." not in field else ""
        return wrong_field(field, f"unknown field{known}")
    message = problem["msg"].removeprefix("Value error, ")
    if not field:
        found = _FIELD.match(message)
        return HttpError(422, "wrong_field", message, found[1] if found else None)
    return wrong_field(field, f"{_REPR.repr(problem['input'])}: {message}")


def _of_router(error: HTTPException) -> HttpError:
    headers = dict(error.headers or {})
    if error.status_code == 404:
        message = "there is nothing at this address; /docs lists those that there are"
        return HttpError(404, "unknown_address", message)
    if error.status_code == 405:
        allowed = headers.get("Allow", "")
        message = f"this address does not take the method; it takes {allowed}"
        return HttpError(405, "wrong_method", message, headers=headers)
    code = HTTPStatus(error.status_code).name.lower()
    return HttpError(error.status_code, code, error.detail, headers=headers)


def _written(location: tuple[Any, ...], content: Any, keep_last: bool) -> list[Any]:
    """Leaves out of a location what stands for a type in it, which nobody wrote."""
    written = []
    for place, part in enumerate(location, 1):
        found = isinstance(content, dict) and part in content
        found = found or (isinstance(content, list) and isinstance(part, int))
        if found:
            content = content[part]
        if found or (keep_last and place == len(location)):
            written.append(part)
    return written
