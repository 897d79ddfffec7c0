"""Answers of before in the process."""

import itertools
import time
from collections.abc import Callable, Iterable

from cachetools import TTLCache

from tfrec.service.resilience.cache import Cache, Found, digest

_NEVER = b"0"


class MemoryCache(Cache):
    """Keeps answers in the process: the ones asked for last, up to a number of them.

    A shopper's stamp lives as long as an answer: when it is gone, so are all answers before it.
    """

    def __init__(
        self, entries: int, keep_seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Begins empty.

        Args:
          entries: how many answers are kept; with 0, stamps alone.
          keep_seconds: how long.
          clock: tells the seconds.
        """
        self._answers: TTLCache[str, tuple[bytes, bytes]] = TTLCache(entries, keep_seconds, clock)
        self._stamps: TTLCache[str, bytes] = TTLCache(float("inf"), keep_seconds, clock)
        self._numbers = itertools.count(1)

    async def find(self, shopper: str, key: str) -> Found:
        """See `Cache.find`."""
        stamp = self._stamp(shopper)
        value, kept_with = self._answers.get(_place(shopper, key), (None, None))
        return Found(value if kept_with == stamp else None, stamp)

    async def keep(self, shopper: str, key: str, value: bytes, stamp: bytes | None) -> None:
        """See `Cache.keep`."""
        if self._answers.maxsize and stamp == self._stamp(shopper):
            self._answers[_place(shopper, key)] = value, stamp

    async def forget(self, shoppers: Iterable[str]) -> None:
        """See `Cache.forget`."""
        for shopper in shoppers:
            self._stamps[digest(shopper.encode())] = b"%d" % next(self._numbers)

    async def close(self) -> None:
        """See `Cache.close`."""
        self._answers.clear()

    def _stamp(self, shopper: str) -> bytes:
        return self._stamps.get(digest(shopper.encode()), _NEVER)


def _place(shopper: str, key: str) -> str:
    return digest(shopper.encode()) + key
