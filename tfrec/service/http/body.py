"""Reading the bodies of requests, of bounded size and in bounded time."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeVar

import anyio
import orjson
from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from tfrec.service.http.config import Limits
from tfrec.service.http.errors import HttpError, explain, wrong_field

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
ModelT = TypeVar("ModelT", bound=BaseModel)

_MOST_IGNORED_BYTES = 32_000_000
_IGNORED_SECONDS = 5.0


class LimitedBody:
    """A request's body, as ASGI gives it out, that ends in an error where it is too much.

    What is too much is read and thrown away, within limits of its own: a client that still sends
    would otherwise meet a closed connection and not see the answer.
    """

    def __init__(self, receive: Receive, headers: dict[bytes, bytes], limits: Limits) -> None:
        """Takes what gives out the body.

        Args:
          receive: of ASGI.
          headers: of the request, by names in small letters.
          limits: what is too much.
        """
        self._receive, self._limits = receive, limits
        self._announced = int(headers.get(b"content-length", b"0"))
        self._waits = b"100-continue" in headers.get(b"expect", b"").lower()
        self._size, self._more = 0, True

    async def receive(self) -> MutableMapping[str, Any]:
        """The next part of the body.

        Raises:
          HttpError: 413 if it is too large, 408 if it does not come.
        """
        if not self._more:
            return await self._receive()  # says when the client has gone
        if self._announced > self._limits.body_bytes:
            raise await self._too_large()
        try:
            with anyio.fail_after(self._limits.body_seconds):
                message = await self._next()
        except TimeoutError:
            message_seconds = f"the body did not come within {self._limits.body_seconds:g} s"
            raise HttpError(
                408, "slow_body", f"{message_seconds}; send it again", headers=_CLOSE
            ) from None
        if self._size > self._limits.body_bytes:
            raise await self._too_large()
        return message

    async def _next(self) -> MutableMapping[str, Any]:
        message = await self._receive()
        self._size += len(message.get("body", b""))
        self._more = message.get("more_body", False)
        return message

    async def _too_large(self) -> HttpError:
        if not self._waits:
            with anyio.move_on_after(_IGNORED_SECONDS):
                while self._more and self._size < _MOST_IGNORED_BYTES:
                    await self._next()
        return HttpError(
            413,
            "body_too_large",
            f"the body has more than {self._limits.body_bytes:,} bytes; send less at once",
            headers=_CLOSE,
        )


_CLOSE = {"connection": "close"}


async def read_json(request: Request) -> tuple[bytes, dict[str, Any]]:
    """Reads a body that is to be a JSON object.

    Returns:
      The body, and what it says.

    Raises:
      HttpError: 415 if it is sent as something else, 400 if it is not JSON, 422 if it is no object.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise HttpError(415, "wrong_content_type", f"content-type: {kind!r}: send application/json")
    if coding := request.headers.get("content-encoding"):
        raise HttpError(
            415, "wrong_content_type", f"content-encoding: {coding!r}: send the body as it is"
        )
    body = await request.body()
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise HttpError(
            400,
            "malformed_json",
            f"not JSON at character {error.pos} (line {error.lineno}, column {error.colno}): "
            f"{error.msg.partition(':')[0]}",
        ) from None
    if not isinstance(content, dict):
        raise HttpError(422, "wrong_field", "the body is not an object; send {...}")
    return body, content


async def read_message(request: Request, model: type[ModelT]) -> ModelT:
    """Reads a body that is to be a message.

    Raises:
      HttpError: as `read_json` does, and 422 with the field that is wrong.
    """
    body, content = await read_json(request)
    try:
        # From the bytes: what stands as a list in JSON may be a tuple then, and nothing else.
        return model.model_validate_json(body, strict=True)
    except ValidationError as error:
        raise explain(error, model, content) from None


def check_no_query(request: Request) -> None:
    """Refuses what is asked behind a question mark, which nothing would read.

    Raises:
      HttpError: 422 if there is anything.
    """
    if request.scope["query_string"]:
        raise wrong_field("query string", "this address takes none; leave it out")
