"""What every request passes, whatever it asks for."""

import ipaddress
import logging
import re
import time
import traceback
import uuid
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from datetime import datetime, timezone
from typing import Any

from starlette.requests import ClientDisconnect

from tfrec.service import metrics
from tfrec.service.http.body import LimitedBody, Receive
from tfrec.service.http.caller import Caller
from tfrec.service.http.config import HttpConfig
from tfrec.service.http.errors import HttpError, http_error
from tfrec.service.http.keys import Keys
from tfrec.service.http.log_names import LogNames
from tfrec.service.http.rates import Rates

logger = logging.getLogger(__name__)

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

ALWAYS_OPEN = ("/healthz", "/readyz", "/metrics")
"""Addresses that no limit closes, so that a busy service is not taken for a dead one."""

_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]]*)(:\d*)?")
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_GONE = 499
_PAGES = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
_HEADERS = {
    b"content-security-policy": _PAGES.encode(),
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-resource-policy": b"same-origin",
    b"cross-origin-opener-policy": b"same-origin",
    b"permissions-policy": b"camera=(), geolocation=(), microphone=()",
    b"cache-control": b"no-store",
}


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Guard:
    """An ASGI application around another: who asks, how often and how much; what goes into logs.

    It puts `caller` and `request_id` into the request's state, and headers on every answer that
    has not its own.
    """

    def __init__(
        self,
        app: App,
        config: HttpConfig,
        keys: Keys | None,
        names: LogNames,
        template_of: Callable[[object], str | None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Takes the application, and its limits.

        Args:
          app: answers.
          config: of the server.
          keys: that callers may have; None where none is needed.
          names: of shoppers in logs.
          template_of: the path of an endpoint, for metrics and logs.
          clock: seconds, that only go on.
        """
        self._app, self._config, self._keys = app, config, keys
        self._names, self._template_of, self._clock = names, template_of, clock
        self._rates, self._hosts = Rates(), _hosts(config)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            return
        exchange = _Exchange(send, self._clock())
        headers = dict(scope["headers"])
        try:
            caller = exchange.caller = self._admit(scope, headers)
            scope["state"] = {"caller": caller, "request_id": exchange.request_id}
            body = LimitedBody(receive, headers, self._config.limits)
            await self._app(scope, body.receive, exchange.send)
        except ClientDisconnect:
            exchange.status = exchange.status or _GONE
        except Exception as error:
            await self._fail(scope, error, exchange)
        self._note(scope, exchange)

    def _admit(self, scope: MutableMapping[str, Any], headers: dict[bytes, bytes]) -> Caller:
        """Finds out who asks.

        Raises:
          HttpError: if the caller may not ask at all, or not now.
        """
        address = scope["client"][0] if scope.get("client") else "unknown"
        self._check_head(scope, headers)
        try:
            caller = self._identify(address, headers.get(b"authorization"))
        except HttpError:
            self._limit(scope, Caller(address, None, needs_key=True))
            raise
        self._limit(scope, caller)
        return caller

    def _identify(self, address: str, authorization: bytes | None) -> Caller:
        if self._keys is None:
            return Caller(address, None, needs_key=False)
        written = authorization.decode("latin-1") if authorization is not None else None
        key = self._keys.identify(written, datetime.now(timezone.utc))
        return Caller(address, key, needs_key=True)

    def _limit(self, scope: MutableMapping[str, Any], caller: Caller) -> None:
        limit = (caller.key and caller.key.rate) or self._config.rate
        if limit is None or scope["path"] in ALWAYS_OPEN:
            return
        wait = self._rates.take(caller.name, limit, self._clock())
        if wait:
            raise HttpError(
                429,
                "too_many_requests",
                f"more than {limit.per_second:g} requests a second; ask again in {wait:.1f} s",
                headers={"retry-after": str(int(wait) + 1)},
            )

    def _check_head(self, scope: MutableMapping[str, Any], headers: dict[bytes, bytes]) -> None:
        size = sum(len(name) + len(value) for name, value in scope["headers"])
        size += len(scope.get("raw_path") or b"") + len(scope["query_string"])
        if size > self._config.limits.header_bytes:
            message = f"the headers have {size:,} bytes; send fewer or shorter ones"
            raise HttpError(431, "headers_too_large", message)
        if self._hosts is not None:
            found = _HOST.fullmatch(headers.get(b"host", b"").decode("latin-1"))
            if found is None or found[1].strip("[]").lower() not in self._hosts:
                message = "not asked by this name; add it to service.http.hosts"
                raise HttpError(421, "unknown_host", message)

    async def _fail(
        self, scope: MutableMapping[str, Any], error: Exception, exchange: "_Exchange"
    ) -> None:
        """Answers a request that failed, if it has no answer yet."""
        known = http_error(error)
        if known is None:
            shoppers = exchange.caller.shoppers if exchange.caller else []
            trace = "".join(traceback.format_exception(error))
            logger.error("%s: %s", exchange.request_id, self._names.scrub(trace, shoppers))
            message = f"a fault of the service; its log has it as {exchange.request_id}"
            known = HttpError(500, "internal", message)
        if not exchange.status:
            await known.response()(scope, _nothing, exchange.send)

    def _note(self, scope: MutableMapping[str, Any], exchange: "_Exchange") -> None:
        """Counts and logs a request."""
        seconds, status = self._clock() - exchange.started, exchange.status
        route = self._template_of(scope.get("endpoint")) or metrics.OTHER
        method = scope["method"] if scope["method"] in _METHODS else metrics.OTHER
        metrics.observe_http(route, method, status, seconds)
        is_bad = status >= 500 or status in (401, 403)
        if not (self._config.log_requests or is_bad) or not logger.isEnabledFor(logging.INFO):
            return
        caller = exchange.caller
        shoppers = ",".join(self._names.name(one) for one in caller.shoppers) if caller else ""
        logger.log(
            logging.WARNING if is_bad else logging.INFO,
            "%s %s %d in %.1f ms, request %s of %s%s",
            *(method, route, status, seconds * 1000, exchange.request_id),
            caller.name if caller else "nobody known",
            f", about {shoppers}" if shoppers else "",
        )


class _Exchange:
    """A request and what became of it."""

    def __init__(self, send: Send, started: float) -> None:
        self._send, self.started = send, started
        self.request_id = uuid.uuid4().hex
        self.caller: Caller | None = None
        self.status = 0

    async def send(self, message: Message) -> None:
        """Sends a part of the answer, the head with the headers that every one has."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = message["headers"] = list(message.get("headers", ()))
            present = {name for name, _ in headers}
            headers += [pair for pair in _HEADERS.items() if pair[0] not in present]
            if b"x-request-id" in present:
                self.request_id = dict(headers)[b"x-request-id"].decode("latin-1")
            else:
                headers.append((b"x-request-id", self.request_id.encode()))
        await self._send(message)


def _hosts(config: HttpConfig) -> Collection[str] | None:
    """Names under which the service may be asked; None where any will do."""
    if not (config.hosts or is_loopback(config.host)):
        return None
    return {name.strip("[]").lower() for name in (*_LOOPBACK_NAMES, config.host, *config.hosts)}


async def _nothing() -> MutableMapping[str, Any]:
    return {"type": "http.disconnect"}
