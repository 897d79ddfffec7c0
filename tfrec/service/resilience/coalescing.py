"""Equal requests at the same time share one answer."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

_Answer = TypeVar("_Answer")


class Coalescing(Generic[_Answer]):
    """Makes an answer once for all who ask for it while it is being made.

    Who goes away does not take it from the others; once nobody waits, making it is given up.
    """

    def __init__(self) -> None:
        """Begins with nothing in the making."""
        self._running: dict[Hashable, _Shared[_Answer]] = {}

    async def share(
        self, key: Hashable, make: Callable[[], Coroutine[Any, Any, _Answer]]
    ) -> tuple[_Answer, bool]:
        """Waits for an answer that is being made, or makes it.

        Args:
          key: what is asked for. It has to hold all that the answer depends on, such as the last
            event of the shopper, or a request after that event gets the answer of one before it.
          make: makes the answer.

        Returns:
          The answer, and whether another call made it. All who waited have the same object.

        Raises:
          Exception: what `make` raises, to all who wait.
        """
        shared = self._running.get(key)
        is_shared = shared is not None
        if shared is None:
            shared = self._running[key] = _Shared(asyncio.ensure_future(make()))
            shared.task.add_done_callback(lambda task: self._end(key, task))
        shared.waiting += 1
        try:
            return await asyncio.shield(shared.task), is_shared
        finally:
            shared.waiting -= 1
            if not shared.waiting and not shared.task.done():
                self._end(key, shared.task)
                shared.task.cancel()

    def _end(self, key: Hashable, task: "asyncio.Future[_Answer]") -> None:
        running = self._running.get(key)
        if running is not None and running.task is task:
            del self._running[key]


class _Shared(Generic[_Answer]):
    """An answer in the making, and how many wait for it."""

    def __init__(self, task: "asyncio.Future[_Answer]") -> None:
        self.task = task
        self.waiting = 0
