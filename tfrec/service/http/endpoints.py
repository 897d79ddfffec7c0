"""From requests to the gateway, and back."""

import logging
import re
from collections.abc import Mapping
from typing import Any

import orjson
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from tfrec.errors import UserError
from tfrec.service import metrics
from tfrec.service.api import GuideRequest, RecommendationRequest, Slate
from tfrec.service.gateway import Gateway
from tfrec.service.http.body import check_no_query, read_json, read_message
from tfrec.service.http.caller import Caller
from tfrec.service.http.config import Limits
from tfrec.service.http.errors import HttpError, wrong_field

logger = logging.getLogger(__name__)

_LONGEST_ID = 512
_NO_TOKEN = re.compile(r"[^A-Za-z0-9!#$%&'*+.^_`|~-]+")


class Endpoints:
    """One method for each operation.

    The guard has put the caller into the request's state before.
    """

    def __init__(self, gateway: Gateway, limits: Limits) -> None:
        """Takes who answers, and what is too much."""
        self._gateway, self._limits = gateway, limits

    async def recommend(self, request: Request) -> Response:
        """Makes a slate."""
        check_no_query(request)
        asked = await read_message(request, RecommendationRequest)
        _may_ask_for(request, asked.user, asked.session)
        slate = await self._gateway.recommend(asked)
        return _json(slate, _slate_headers(slate))

    async def guide(self, request: Request) -> Response:
        """Asks the shopping guide."""
        check_no_query(request)
        asked = await read_message(request, GuideRequest)
        _may_ask_for(request, asked.user, asked.session)
        reply = await self._gateway.guide(asked)
        return _json(reply, _slate_headers(reply.slate))

    async def take_events(self, request: Request) -> Response:
        """Takes events in, each with a verdict."""
        check_no_query(request)
        _, content = await read_json(request)
        unknown = next((name for name in content if name != "events"), None)
        if unknown is not None:
            raise wrong_field(unknown, "unknown field; known: events")
        if "events" not in content:
            raise wrong_field("events", "missing; send it")
        rows = content["events"]
        if not isinstance(rows, list) or not rows:
            raise wrong_field("events", "not a list with events in it; send one")
        if len(rows) > self._limits.events:
            message = f"{len(rows):,} of them; send {self._limits.events:,} at once at most"
            raise wrong_field("events", message)
        _caller(request).events = rows
        verdicts = await self._gateway.take_events(rows)
        return _json({"verdicts": [verdict._asdict() for verdict in verdicts]})

    async def user(self, request: Request) -> Response:
        """Tells what is known of a shopper."""
        user = _id(request, "user")
        found = await self._gateway.user(user)
        if not (found.is_known or found.hidden):
            raise HttpError(404, "unknown_user", "nothing is known of this shopper", "user")
        reply = {
            "user": user,
            "features": found.features,
            "hidden": found.hidden,
            "counts": found.counts,
            "last": found.last,
            "arms": self._gateway.arms(user, None),
        }
        return _json(reply)

    async def erase(self, request: Request) -> Response:
        """Forgets a shopper."""
        user = _id(request, "user")
        try:
            was_known = await self._gateway.erase(user)
        except UserError as error:  # of the operator, who reads it in the log
            logger.error("nobody can be erased: %s", error)
            message = "nobody can be erased now; the service's log says why"
            raise HttpError(503, "erasure_unavailable", message) from None
        return _json({"user": user, "was_known": was_known})

    async def item(self, request: Request) -> Response:
        """Tells of an item."""
        return _json(self._gateway.item(_id(request, "item"))._asdict())

    async def health(self, request: Request) -> Response:
        """Tells that the process is there."""
        return _json({"status": "ok"})

    async def readiness(self, request: Request) -> Response:
        """Tells whether the service answers."""
        found = self._gateway.readiness()
        return _json(found._asdict(), status=200 if found.ready else 503)

    async def metrics(self, request: Request) -> Response:
        """Shows the metrics."""
        body, content_type = metrics.render(request.headers.get("accept"))
        return Response(body, headers={"content-type": content_type})


def _may_ask_for(request: Request, user: str | None, session: str | None) -> None:
    """Lets only those ask for a shopper who may read what a slate tells of one's history."""
    caller = _caller(request)
    caller.note(user, session)
    if user is not None:
        caller.require("users")


def _caller(request: Request) -> Caller:
    found: Caller = request.state.caller
    return found


def _id(request: Request, kind: str) -> str:
    check_no_query(request)
    found: str = request.path_params[kind]
    if kind == "user":
        _caller(request).note(found)
    if not 0 < len(found) <= _LONGEST_ID:
        raise wrong_field(kind, f"{len(found):,} letters; ids have 1 to {_LONGEST_ID}")
    return found


def _slate_headers(slate: Slate) -> dict[str, str]:
    steps = [f"{_NO_TOKEN.sub('-', step)};dur={ms:.2f}" for step, ms in slate.timings.items()]
    if slate.cached:
        steps = ["cache"]  # the times are those of the answer of before
    return {"server-timing": ", ".join(steps), "x-request-id": slate.request_id}


def _json(
    reply: BaseModel | Mapping[str, Any],
    headers: Mapping[str, str] | None = None,
    status: int = 200,
) -> Response:
    if isinstance(reply, BaseModel):
        body = reply.__pydantic_serializer__.to_json(reply)
    else:
        body = orjson.dumps(reply, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(body, status, headers, "application/json")
