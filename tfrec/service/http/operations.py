"""What the service takes over HTTP: one entry an address and method."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from tfrec.service.api import GuideReply, GuideRequest, RecommendationRequest, Slate
from tfrec.service.http.endpoints import Endpoints
from tfrec.service.http.keys import Scope
from tfrec.service.http.messages import (
    ErasedReply,
    EventBatch,
    EventVerdicts,
    HealthReply,
    ItemReply,
    ReadinessReply,
    UserReply,
)

Handler = Callable[[Endpoints, Request], Awaitable[Response]]


class Operation(NamedTuple):
    """An address and method.

    Attributes:
      method: HTTP's.
      path: with the names of its parameters in braces.
      name: for programs.
      summary: for people.
      scope: that a key needs; None where none is needed.
      takes: the body.
      answers: the body of status 200; None where it is no JSON.
      faults: statuses of other answers, besides those that every address has.
      handler: makes the answer.
    """

    method: str
    path: str
    name: str
    summary: str
    scope: Scope | None
    takes: type[BaseModel] | None
    answers: type[BaseModel] | None
    faults: tuple[int, ...]
    handler: Handler


_BODY = (400, 408, 413, 415, 422)

OPERATIONS = (
    Operation(
        "POST", "/v1/recommendations", "recommend",
        "What this shopper should see now, and why.", "read",
        RecommendationRequest, Slate, (*_BODY, 404), Endpoints.recommend,
    ),
    Operation(
        "POST", "/v1/guide", "guide",
        "The shopping guide: a sentence and a slate for what the shopper writes.", "read",
        GuideRequest, GuideReply, _BODY, Endpoints.guide,
    ),
    Operation(
        "POST", "/v1/events", "send_events",
        "What shoppers did. It is on the disk before it is acknowledged, and once however often "
        "it is sent.", "events",
        EventBatch, EventVerdicts, (*_BODY, 503), Endpoints.take_events,
    ),
    Operation(
        "GET", "/v1/users/{user}", "read_user",
        "What is known of a shopper.", "users", None, UserReply, (404, 422, 503), Endpoints.user,
    ),
    Operation(
        "DELETE", "/v1/users/{user}", "erase_user",
        "Forgets a shopper, now and in later training data.", "erase",
        None, ErasedReply, (422, 503), Endpoints.erase,
    ),
    Operation(
        "GET", "/v1/items/{item}", "read_item",
        "An item of the catalogue.", "read", None, ItemReply, (404, 422), Endpoints.item,
    ),
    Operation(
        "GET", "/healthz", "health",
        "Whether the process is there.", None, None, HealthReply, (), Endpoints.health,
    ),
    Operation(
        "GET", "/readyz", "readiness",
        "Whether the service answers, and of which parts; 503 where it does not.", None,
        None, ReadinessReply, (503,), Endpoints.readiness,
    ),
    Operation(
        "GET", "/metrics", "metrics",
        "Metrics for Prometheus.", "metrics", None, None, (), Endpoints.metrics,
    ),
)  # fmt: skip
