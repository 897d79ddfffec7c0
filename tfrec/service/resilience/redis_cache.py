"""Answers of before in Redis, for several replicas."""

import itertools
import math
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, TypeVar

import redis.asyncio
from cachetools import TTLCache

from tfrec.service.resilience.breaker import Breaker, OpenError
from tfrec.service.resilience.cache import Cache, Found, digest
from tfrec.service.resilience.config import ResilienceConfig

_STAMP_BYTES = 16
_NEVER = b"-" * _STAMP_BYTES
_MOST_AT_ONCE = 1000

_KEEP = """
if (redis.call('GET', KEYS[1]) or ARGV[4]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[2], ARGV[1] .. ARGV[2], 'PX', ARGV[3])
return 1
"""

_Answer = TypeVar("_Answer")


class RedisCache(Cache):
    """Keeps answers in Redis, behind the stamp of the shopper's last event in any replica.

    An event that Redis could not be told of is told it before anything else once it is back.
    """

    def __init__(
        self,
        url: str,
        config: ResilienceConfig,
        clock: Callable[[], float] = time.monotonic,
        prefix: str = "tfrec",
    ) -> None:
        """Connects when it is first asked.

        Args:
          url: `redis://HOST:PORT/DATABASE`.
          config: how long answers are kept and Redis is waited for, and when it is left alone.
          clock: tells the seconds.
          prefix: of all keys.
        """
        cache, breaker = config.cache, config.breaker
        self._redis = redis.asyncio.Redis.from_url(
            url, socket_timeout=cache.wait, socket_connect_timeout=cache.wait
        )
        self._keep_milliseconds, self._prefix = 1000 * cache.keep, prefix
        self._keep = self._redis.register_script(_KEEP)
        self._owed: TTLCache[str, int] = TTLCache(math.inf, cache.keep, clock)
        self._numbers = itertools.count()
        self._breaker = Breaker(breaker.failures, breaker.recover, clock)

    async def find(self, shopper: str, key: str) -> Found:
        """See `Cache.find`."""
        who = digest(shopper.encode())

        async def ask() -> Found:
            async with self._redis.pipeline(transaction=False) as pipeline:
                owed = self._pay(pipeline)
                pipeline.mget(self._stamp(who), self._place(who, key))
                stamp, found = (await pipeline.execute())[-1]
            self._paid(owed)
            stamp = stamp or _NEVER
            if who in self._owed:
                return Found(None, None)
            is_valid = found is not None and found[:_STAMP_BYTES] == stamp
            return Found(found[_STAMP_BYTES:] if is_valid else None, stamp)

        return await self._ask(ask, Found(None, None))

    async def keep(self, shopper: str, key: str, value: bytes, stamp: bytes | None) -> None:
        """See `Cache.keep`."""
        who = digest(shopper.encode())
        if stamp is None or who in self._owed:
            return

        async def ask() -> None:
            places = [self._stamp(who), self._place(who, key)]
            await self._keep(places, [stamp, value, self._keep_milliseconds, _NEVER])

        await self._ask(ask, None)

    async def forget(self, shoppers: Iterable[str]) -> None:
        """See `Cache.forget`."""
        for shopper in shoppers:
            self._owed[digest(shopper.encode())] = next(self._numbers)

        async def ask() -> None:
            async with self._redis.pipeline(transaction=False) as pipeline:
                owed = self._pay(pipeline)
                await pipeline.execute()
            self._paid(owed)

        await self._ask(ask, None)

    async def close(self) -> None:
        """See `Cache.close`."""
        await self._redis.aclose()

    def _pay(self, pipeline: Any) -> dict[str, int]:
        """Gives new stamps to shoppers that Redis has to be told of."""
        owed = dict(itertools.islice(self._owed.items(), _MOST_AT_ONCE))
        for who in owed:
            stamp = secrets.token_hex(_STAMP_BYTES // 2)
            # It has to outlive every answer that was kept before it.
            pipeline.set(self._stamp(who), stamp, px=self._keep_milliseconds + 1000)
        return owed

    def _paid(self, owed: Mapping[str, int]) -> None:
        for who, number in owed.items():
            if self._owed.get(who) == number:  # otherwise there was another event meanwhile
                del self._owed[who]

    async def _ask(self, function: Callable[[], Awaitable[_Answer]], otherwise: _Answer) -> _Answer:
        try:
            return await self._breaker.call(function)
        except (redis.RedisError, OSError, OpenError):
            return otherwise

    def _stamp(self, who: str) -> str:
        # What stands in braces decides on the node of a cluster: both keys are on one.
        return f"{self._prefix}:slates:{{{who}}}:stamp"

    def _place(self, who: str, key: str) -> str:
        return f"{self._prefix}:slates:{{{who}}}:{key}"
