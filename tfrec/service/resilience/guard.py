"""How the flow asks other parts: in time, and only those that answer."""

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Literal, TypeVar

from tfrec.service.metrics import set_breaker
from tfrec.service.resilience.breaker import Breaker, OpenError, State
from tfrec.service.resilience.budget import Budget, LateError, Step
from tfrec.service.resilience.config import ResilienceConfig
from tfrec.serving.status import ServingError

logger = logging.getLogger(__name__)

Reason = Literal["open", "late", "error"]

_Answer = TypeVar("_Answer")

# Statuses that say that the question was wrong, not that the server is ill.
_ITS_ASKER = ("INVALID_ARGUMENT", "OUT_OF_RANGE")


class PartError(Exception):
    """A part did not answer, and something has to stand in.

    Attributes:
      part: its name.
      reason: it is left alone (`open`), was too slow (`late`), or said no (`error`).
    """

    def __init__(self, part: str, reason: Reason, message: str) -> None:
        """Joins part and message."""
        super().__init__(f"{part}: {message}")
        self.part, self.reason = part, reason


class Guard:
    """A breaker for each part, and a budget for each request.

    Example:
      >>> budget = guard.budget()
      >>> try:
      ...     scores = await guard.call("ranker", "rank", budget, lambda: models.rank(candidates))
      ... except PartError:
      ...     scores = retrieval_order(candidates)
    """

    def __init__(
        self, config: ResilienceConfig, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Takes budgets and the breakers' settings."""
        self._config, self._clock = config, clock
        self._breakers: dict[str, Breaker] = {}
        self._told: dict[str, State] = {}

    def budget(self) -> Budget:
        """The time of a request that begins now."""
        return Budget(self._config, self._clock)

    async def call(
        self, part: str, step: Step, budget: Budget, function: Callable[[], Awaitable[_Answer]]
    ) -> _Answer:
        """Asks a part.

        Args:
          part: its name.
          step: whose time it takes.
          budget: of the request.
          function: asks it; cancelled when the time is over.

        Returns:
          What it answers.

        Raises:
          PartError: if it does not answer, for whatever reason.
        """
        breaker = self._breaker(part)
        try:
            return await breaker.call(lambda: budget.run(step, function))
        except OpenError:
            raise PartError(part, "open", "is left alone after failures") from None
        except LateError as error:
            raise PartError(part, "late", str(error)) from error
        except Exception as error:
            raise PartError(part, "error", str(error) or repr(error)) from error
        finally:
            self._tell(part, breaker)

    def states(self) -> dict[str, State]:
        """The breakers: part -> state, of those that were asked so far."""
        return {part: breaker.state for part, breaker in self._breakers.items()}

    def _breaker(self, part: str) -> Breaker:
        if part not in self._breakers:
            of = self._config.breaker
            self._breakers[part] = Breaker(of.failures, of.recover, self._clock, _blames)
            self._told[part] = "closed"
            set_breaker(part, "closed")
        return self._breakers[part]

    def _tell(self, part: str, breaker: Breaker) -> None:
        """Notes what a breaker came to, and logs when a part is left alone, and when it is back."""
        state, before = breaker.state, self._told[part]
        if state == before:
            return
        self._told[part] = state
        set_breaker(part, state)
        if before == "closed":
            logger.warning("%s: fails, and is left alone but for a try now and then", part)
        elif state == "closed":
            logger.warning("%s: is back", part)


def _blames(error: Exception) -> bool:
    if isinstance(error, LateError):
        return error.is_own
    return not (isinstance(error, ServingError) and error.code in _ITS_ASKER)
