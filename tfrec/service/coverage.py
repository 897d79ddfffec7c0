"""How many different items were shown lately."""

import threading
import time
from collections.abc import Callable, Iterable

WINDOW_SECONDS = 3600.0


class Coverage:
    """Counts the different items of the running window and the one before it.

    So the count is of the last one to two windows, and never falls to nothing as a window ends.
    """

    def __init__(
        self,
        window_seconds: float = WINDOW_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begins the first window.

        Args:
          window_seconds: length of a window.
          clock: seconds that only grow.
        """
        self._window, self._clock = window_seconds, clock
        self._lock, self._began = threading.Lock(), clock()
        self._now: set[str] = set()
        self._before: set[str] = set()

    def add(self, items: Iterable[str]) -> None:
        """Notes ids of items that were shown."""
        with self._lock:
            self._turn()
            self._now.update(items)

    def count(self) -> int:
        """Different items that were shown lately."""
        with self._lock:
            self._turn()
            return len(self._now | self._before)

    def _turn(self) -> None:
        """Ends a window that is over."""
        windows = int((self._clock() - self._began) / self._window)
        if windows:
            self._before = self._now if windows == 1 else set()
            self._now = set()
            self._began += windows * self._window
