"""How often each caller may ask."""

from collections import OrderedDict

from tfrec.service.http.config import RateLimit

_MOST_CALLERS = 10_000


class Rates:
    """A token bucket for each caller; those that were quiet for the longest time are forgotten.

    A bucket is full again after `burst / per_second` seconds; whoever is forgotten has a full one.
    """

    def __init__(self, most_callers: int = _MOST_CALLERS) -> None:
        """Takes how many callers are remembered."""
        self._most_callers = most_callers
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, caller: str, limit: RateLimit, now: float) -> float:
        """Takes a token.

        Args:
          caller: a key's id, or an address.
          limit: of the caller.
          now: the moment in seconds, of any clock that only goes on.

        Returns:
          Seconds until there is a token; 0 where it was taken.
        """
        tokens, then = self._buckets.pop(caller, (float(limit.burst), now))
        tokens = min(limit.burst, tokens + (now - then) * limit.per_second)
        wait = max(0.0, (1 - tokens) / limit.per_second)
        self._buckets[caller] = (tokens if wait else tokens - 1, now)
        if len(self._buckets) > self._most_callers:
            self._buckets.popitem(last=False)
        return wait
