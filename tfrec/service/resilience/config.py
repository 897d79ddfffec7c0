"""Time budgets, breakers and the cache."""

import re
from typing import Annotated
from urllib.parse import urlsplit

import pydantic

from tfrec.config import Duration, Section

_SECONDS = {"ms": 0.001, "s": 1.0, "": 0.001}


def _parse_wait(value: object) -> object:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value / 1000
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|)", value) if isinstance(value, str) else None
    if match:
        return float(match[1]) * _SECONDS[match[2]]
    raise ValueError("not a time to wait; write milliseconds or a unit (ms, s), e.g. 50ms")


def _write_wait(seconds: float) -> float:
    return seconds * 1000


Wait = Annotated[
    float,
    pydantic.BeforeValidator(_parse_wait),
    pydantic.PlainSerializer(_write_wait),
    pydantic.Field(gt=0, allow_inf_nan=False),
]
"""A short time in seconds; a config writes it as `50ms`, `1.5s`, or as a number of milliseconds."""


def is_redis(url: str) -> bool:
    """Whether a URL is one of Redis."""
    try:
        parts = urlsplit(url)
        return parts.scheme in ("redis", "rediss") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number
        return False


def _check_redis(url: str) -> str:
    if not is_redis(url):
        raise ValueError("not a URL of Redis; write it like redis://localhost:6379/1")
    return url


class Budgets(Section):
    """How long each step that asks other parts may take.

    Attributes:
      gather: reading what is known of the shopper.
      sources: finding candidates; the sources are asked side by side, and each has this long.
      rank: scoring the candidates.
      explain: finding the reasons.
    """

    gather: Wait = 0.1
    sources: Wait = 0.25
    rank: Wait = 0.25
    explain: Wait = 0.25


class BreakerConfig(Section):
    """When a part that fails is left alone.

    Attributes:
      failures: so many in a row, and the part is not asked any more.
      recover: after so long one request tries it again.
    """

    failures: Annotated[int, pydantic.Field(ge=1)] = 5
    recover: Wait = 2.0


class CacheConfig(Section):
    """Slates of before.

    Attributes:
      entries: how many are kept in the process; 0 keeps none, there or in Redis, which otherwise
        keeps as many as it has room for.
      keep: how long one is shown again.
      redis: URL of the Redis that all replicas keep them in; by default that of the feature store,
        where it is in Redis, and otherwise they are kept in the process.
      wait: how long Redis is waited for; a slower answer is as good as none.
    """

    entries: Annotated[int, pydantic.Field(ge=0)] = 10_000
    keep: Duration = 30
    redis: Annotated[str, pydantic.AfterValidator(_check_redis)] | None = None
    wait: Wait = 0.02


class ResilienceConfig(Section):
    """Time budgets, breakers and the cache.

    Attributes:
      request: how long all steps together may wait for other parts.
      budgets: how long each step may.
      breaker: when a part that fails is left alone.
      cache: slates of before.
    """

    request: Wait = 0.8
    budgets: Budgets = Budgets()
    breaker: BreakerConfig = BreakerConfig()
    cache: CacheConfig = CacheConfig()
