"""A part that fails again and again is left alone for a while."""

import time
from collections.abc import Awaitable, Callable
from typing import Literal, TypeVar

State = Literal["closed", "open", "half_open"]

_Answer = TypeVar("_Answer")


class OpenError(Exception):
    """The part was not asked, for it has failed too often."""


class Breaker:
    """Stops asking a part after some failures in a row, and finds out by itself when it is back.

    Closed, it asks. Open, it refuses at once. After `recover_seconds` it is half open: one call
    goes through, all others are refused meanwhile, and its outcome closes or opens the breaker.

    What a call that began earlier comes to, when the breaker has changed since, does not count. A
    call that is cancelled is neither a failure nor a success: its caller went away. So time-outs
    have to be inside of the call; see `Guard`, which puts them there.

    For one event loop. Of the libraries that do this, none lets only one call through at a time
    while half open and takes its clock.
    """

    def __init__(
        self,
        failures: int,
        recover_seconds: float,
        clock: Callable[[], float] = time.monotonic,
        blames: Callable[[Exception], bool] = lambda error: True,
    ) -> None:
        """Begins closed.

        Args:
          failures: how many in a row open it.
          recover_seconds: how long it is open.
          clock: tells the seconds.
          blames: whether an error is the part's fault; the others are answers like any.
        """
        self._most, self._recover_seconds = failures, recover_seconds
        self._clock, self._blames = clock, blames
        self._failures, self._opened_at = 0, 0.0
        self._is_open, self._is_probed = False, False
        self._changes = 0

    @property
    def state(self) -> State:
        """What it would do with the next call."""
        if not self._is_open:
            return "closed"
        return "half_open" if self._clock() - self._opened_at >= self._recover_seconds else "open"

    async def call(self, function: Callable[[], Awaitable[_Answer]]) -> _Answer:
        """Asks the part.

        Args:
          function: asks it.

        Returns:
          What it answers.

        Raises:
          OpenError: if the part is left alone.
          Exception: what `function` raises.
        """
        if self._is_open and (self._is_probed or self.state == "open"):
            raise OpenError
        self._is_probed, changes = self._is_open, self._changes
        try:
            answer = await function()
        except Exception as error:
            self._count(changes, failed=self._blames(error))
            raise
        except BaseException:
            if changes == self._changes:
                self._is_probed = False
            raise
        self._count(changes, failed=False)
        return answer

    def _count(self, changes: int, failed: bool) -> None:
        if changes != self._changes:
            return
        self._failures = self._failures + 1 if failed else 0
        opens = failed and (self._is_open or self._failures >= self._most)
        if opens:
            self._opened_at = self._clock()
        if opens or self._is_open:
            self._is_open, self._is_probed, self._failures = opens, False, 0
            self._changes += 1
