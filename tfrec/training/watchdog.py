"""Noticing that training stands still though its process lives."""

import threading
import time
from collections.abc import Callable
from types import TracebackType


class Watchdog:
    """Barks, once, when the step has not changed for long.

    The time counts from entering it as a context, too: a first step may never come.
    """

    def __init__(self, seconds: float, bark: Callable[[int, float], None]) -> None:
        """Takes its orders.

        Args:
          seconds: how long the step may stay the same.
          bark: called with the last step seen, -1 for none, and `seconds`.
        """
        self._seconds, self._bark = seconds, bark
        self._step, self._changed = -1, 0.0
        self._left = threading.Event()

    def __enter__(self) -> "Watchdog":
        """Begins to watch."""
        self._changed = time.monotonic()
        threading.Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stops watching."""
        self._left.set()

    def see(self, step: int) -> None:
        """Takes note of the step that training is at."""
        if step != self._step:
            self._step, self._changed = step, time.monotonic()

    def _watch(self) -> None:
        remaining = self._seconds
        while not self._left.wait(remaining):
            remaining = self._changed + self._seconds - time.monotonic()
            if remaining <= 0:
                self._bark(self._step, self._seconds)
                return
