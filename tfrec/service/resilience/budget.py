"""How long one request may wait for other parts."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Literal, TypeVar

from tfrec.service.resilience.config import ResilienceConfig

Step = Literal["gather", "sources", "rank", "explain"]
"""A step that asks other parts."""

_Answer = TypeVar("_Answer")


class LateError(Exception):
    """There was no answer in time.

    Attributes:
      is_own: whether the step had all of its own time; otherwise those before it took too long.
    """

    def __init__(self, step: Step, seconds: float, is_own: bool) -> None:
        """Takes the step, and how long it was waited for."""
        super().__init__(f"{step}: no answer in {1000 * seconds:.0f} ms")
        self.is_own = is_own


class Budget:
    """The time of one request: each step has its own, and together they have the request's."""

    def __init__(
        self, config: ResilienceConfig, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Starts the clock.

        Args:
          config: how long the request and its steps may take.
          clock: tells the seconds.
        """
        self._config, self._clock = config, clock
        self._deadline = clock() + config.request

    def seconds(self, step: Step) -> float:
        """How long a step that begins now may take; 0 where the request's time is over."""
        own: float = getattr(self._config.budgets, step)
        return min(own, max(self._deadline - self._clock(), 0.0))

    async def run(self, step: Step, function: Callable[[], Awaitable[_Answer]]) -> _Answer:
        """Waits for an answer as long as the step may.

        Args:
          step: whose time it takes.
          function: what is called and, where it takes too long, cancelled.

        Returns:
          What it answers.

        Raises:
          LateError: if there was no answer in time. Nothing is called where no time is left.
          ConnectionAbortedError: if what is called gives itself up.
        """
        seconds = self.seconds(step)
        is_own = seconds == getattr(self._config.budgets, step)
        if not seconds:
            raise LateError(step, seconds, is_own)
        # A task of its own, whose end nobody waits for when it is late: what is called may take
        # its time to give up, and say that it was cancelled in words of its own, as gRPC does.
        task = asyncio.ensure_future(function())
        try:
            await asyncio.wait({task}, timeout=seconds)
        finally:
            if not task.done():
                task.add_done_callback(_look_away)
                task.cancel()
        if not task.done():
            raise LateError(step, seconds, is_own)
        if task.cancelled():
            raise ConnectionAbortedError(f"{step}: the call gave itself up")
        return task.result()


def _look_away(task: "asyncio.Future[Any]") -> None:
    """Takes the error of a call that is of no use any more."""
    if not task.cancelled():
        task.exception()
