"""The step that asks all sources for candidates, side by side."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tfrec.service import metrics
from tfrec.service.flow.config import SourceConfig
from tfrec.service.flow.model_sources import OutsideSource, Told
from tfrec.service.flow.sources import Source
from tfrec.service.flow.state import State
from tfrec.service.resilience.guard import Guard, PartError

# Of the event loop, after which what is asked outside is on its way, before this thread is busy:
# the tasks of the source, of its time limit and of gRPC begin one after the other.
_TURNS = 4


@dataclass(frozen=True)
class AllSources:
    """The sources that there are.

    Attributes:
      here: kind -> source in memory.
      outside: kind -> source that asks another part.
    """

    here: Mapping[str, Source]
    outside: Mapping[str, OutsideSource]

    def __contains__(self, kind: object) -> bool:
        """Whether there is one of a kind."""
        return kind in self.here or kind in self.outside


class AskSources:
    """Asks sources; stand-ins are asked in the place of those that do not answer."""

    name = "sources"

    def __init__(
        self,
        sources: AllSources,
        asked: Sequence[SourceConfig],
        stand_ins: Sequence[SourceConfig],
        guard: Guard,
    ) -> None:
        """Takes which of the sources are asked, and which are only if one fails."""
        self._sources, self._guard = sources, guard
        self._asked, self._stand_ins = list(asked), list(stand_ins)

    async def __call__(self, state: State) -> State:
        """Fills `found`."""
        state = await self._ask(state, self._asked)
        missing = [one.kind for one in self._asked if one.kind not in state.found]
        if not missing:
            return state
        state = await self.stand_in(state)
        stood_in = [one.kind for one in self._stand_ins if one.kind in state.found]
        for kind in missing:
            part = self._sources.outside[kind].part
            state = state.without(part, " and ".join(stood_in) or "nothing")
        return state

    async def stand_in(self, state: State) -> State:
        """Asks the stand-ins that were not asked yet."""
        return await self._ask(state, [s for s in self._stand_ins if s.kind not in state.found])

    async def _ask(self, state: State, asked: Sequence[SourceConfig]) -> State:
        outside = [one for one in asked if one.kind in self._sources.outside]
        running = [asyncio.ensure_future(self._outside(state, one)) for one in outside]
        for _ in range(_TURNS if running else 0):
            await asyncio.sleep(0)
        found = {
            one.kind: self._sources.here[one.kind].find(state, one.count)
            for one in asked
            if one.kind in self._sources.here
        }
        models = dict(state.models)
        for one, told in zip(outside, await asyncio.gather(*running), strict=True):
            if told is None:
                continue
            found[one.kind] = told.found
            model = self._sources.outside[one.kind].model
            if model is not None and told.version is not None:
                models[model] = told.version
        for kind, of in found.items():
            metrics.observe_candidates(kind, len(of.rows))
        # In the order of the config: the first that finds an item is its source.
        ordered = {one.kind: found[one.kind] for one in asked if one.kind in found}
        return state.having(found={**state.found, **ordered}, models=models)

    async def _outside(self, state: State, one: SourceConfig) -> Told | None:
        source = self._sources.outside[one.kind]
        try:
            return await self._guard.call(
                source.part, "sources", state.budget, lambda: source.find(state, one.count)
            )
        except PartError:
            return None
