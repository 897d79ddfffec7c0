"""The service as an ASGI application."""

import os
import re
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp

from tfrec.errors import UserError
from tfrec.service.event_log import LogError
from tfrec.service.feature_store import StoreError
from tfrec.service.gateway import Gateway, UnknownItemError
from tfrec.service.http.config import HttpConfig
from tfrec.service.http.description_page import description_routes
from tfrec.service.http.endpoints import Endpoints
from tfrec.service.http.errors import HttpError, http_error
from tfrec.service.http.guard import Guard
from tfrec.service.http.keys import Keys
from tfrec.service.http.log_names import LogNames
from tfrec.service.http.openapi import describe
from tfrec.service.http.operations import OPERATIONS, Operation

_ANSWERED = (HttpError, HTTPException, UnknownItemError, UserError, LogError, StoreError)
Endpoint = Callable[[Request], Awaitable[Response]]


def make_app(gateway: Gateway, config: HttpConfig, pages: Sequence[BaseRoute] = ()) -> Guard:
    """Makes the application.

    Args:
      gateway: answers.
      config: keys and limits.
      pages: routes of the pages for people.

    Returns:
      What uvicorn serves.

    Raises:
      UserError: if the keys cannot be read.
    """
    keys = Keys.of(config, os.environ)
    endpoints = Endpoints(gateway, config.limits)
    about = partial(describe, OPERATIONS, config.limits, needs_keys=keys is not None)
    routes = [*_routes(endpoints), *description_routes(about), *pages]
    app = _App(routes=routes, exception_handlers=dict.fromkeys(_ANSWERED, _explain_fault))
    app.router.redirect_slashes = False
    names = LogNames.of(config.log_key_env, os.environ)
    return Guard(app, config, keys, names, _templates(routes).get)


class _App(Starlette):
    """Starlette, that leaves faults of ours to the guard."""

    def build_middleware_stack(self) -> ASGIApp:
        return ExceptionMiddleware(self.router, handlers=self.exception_handlers)


class _IdRoute(Route):
    """A route whose ids may have any letter in them, the end of a line too."""

    def __init__(self, path: str, endpoint: Endpoint, **settings: Any) -> None:
        super().__init__(path, endpoint, **settings)
        self.path_regex = re.compile(self.path_regex.pattern, re.DOTALL)


def _templates(routes: Sequence[BaseRoute]) -> dict[object, str]:
    """Endpoint -> the path that leads to it."""
    templates: dict[object, str] = {}
    for route in routes:
        if isinstance(route, Route):
            templates[route.endpoint] = route.path.replace(":path}", "}")
        elif isinstance(route, Mount):
            templates[route.app] = f"{route.path}/"
    return templates


def _routes(endpoints: Endpoints) -> list[Route]:
    """A route for each address: it is asked for its methods."""
    by_path = groupby(OPERATIONS, attrgetter("path"))
    routes: list[Route] = []
    for path, operations in by_path:
        by_method = {operation.method: operation for operation in operations}
        # Ids may have slashes in them.
        template = path.replace("}", ":path}")
        endpoint = _endpoint(by_method, endpoints)
        routes.append(_IdRoute(template, endpoint, methods=[*by_method], name=path))
    return routes


def _endpoint(by_method: dict[str, Operation], endpoints: Endpoints) -> Endpoint:
    async def answer(request: Request) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        operation = by_method[method]
        if operation.scope:
            request.state.caller.require(operation.scope)
        return await operation.handler(endpoints, request)

    return answer


async def _explain_fault(request: Request, error: Exception) -> Response:
    known = http_error(error)
    assert known is not None
    return known.response()
