"""How long to wait before something that failed is tried again, and when to give up."""

_FIRST_SECONDS = 1.0
_LONGEST_SECONDS = 30.0


class Backoff:
    """Doubles the wait with every failure in a row: 1, 2, 4 .. 30 seconds.

    Attributes:
      failures: failures since the last success.
    """

    def __init__(self, limit: int) -> None:
        """Starts without a failure.

        Args:
          limit: failures in a row after which another try still makes sense.
        """
        self.failures = 0
        self._limit = limit

    def fail(self) -> float | None:
        """Counts a failure.

        Returns:
          Seconds to wait before the next try; none once there is no sense in one.
        """
        self.failures += 1
        if self.failures > self._limit:
            return None
        return min(_FIRST_SECONDS * 2 ** (self.failures - 1), _LONGEST_SECONDS)

    def succeed(self) -> None:
        """Forgets the failures."""
        self.failures = 0
