"""How the slates of one shelf are made."""

import inspect
import time
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, get_args

from tfrec.service.flow.config import ScenarioConfig, SourceKind
from tfrec.service.flow.rerank import PINNED
from tfrec.service.flow.state import State

KINDS: tuple[str, ...] = (*get_args(SourceKind), PINNED)
"""Sources by their number."""

_NUMBERS: Mapping[str, int] = {kind: number for number, kind in enumerate(KINDS)}
_MILLISECONDS = 1000


class Step(Protocol):
    """Makes the next state of one.

    Attributes:
      name: in the config and in timings.
    """

    name: str

    def __call__(self, state: State) -> State | Awaitable[State]:
        """Makes the next state."""


@dataclass(frozen=True)
class Plan:
    """One shelf.

    Attributes:
      scenario: its section of the config.
      steps: up to the ranking of all candidates.
      last: what is done with those that come onto the slate.
      weights: kind of source -> its weight.
      pinned: places, from 0, at which nothing else may stand.
      kinds: kind of source -> its number.
    """

    scenario: ScenarioConfig
    steps: Sequence[Step]
    last: Sequence[Step]
    weights: Mapping[str, float]
    pinned: tuple[int, ...] = ()
    kinds: Mapping[str, int] = field(default_factory=lambda: _NUMBERS)

    async def rank(self, state: State) -> State:
        """Runs a request through the steps, up to the ranking."""
        return await _run(self.steps, state)

    async def finish(self, state: State) -> State:
        """Runs the rest, once the candidates are those of the slate."""
        return await _run(self.last, state)


async def _run(steps: Sequence[Step], state: State) -> State:
    timings = dict(state.timings)
    for step in steps:
        began = time.perf_counter()
        made = step(state)
        state = await made if inspect.isawaitable(made) else made
        timings[step.name] = (time.perf_counter() - began) * _MILLISECONDS
    return state.having(timings=timings)
