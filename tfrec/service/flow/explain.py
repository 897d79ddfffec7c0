"""The step that says why."""

import numpy as np

from tfrec.service.flow.asking import ask
from tfrec.service.flow.models import Answer, Models
from tfrec.service.flow.plan import KINDS
from tfrec.service.flow.reasons import model_reason, source_reason
from tfrec.service.flow.shop import Shop
from tfrec.service.flow.state import State
from tfrec.service.resilience.guard import Guard, PartError
from tfrec.serving.names import EXPLAIN, ITEMS, REASONS

_EXPLAINED = KINDS.index("retrieval")


class Explain:
    """Finds a reason for each place of the slate, where the request asks for them.

    What the experiment's model found it explains itself, by its signature `explain`; the other
    sources know why they found an item.
    """

    name = "explain"

    def __init__(self, shop: Shop, models: Models, guard: Guard, model: str) -> None:
        """Takes the model's name."""
        self._shop, self._models, self._guard, self._model = shop, models, guard, model

    async def __call__(self, state: State) -> State:
        """Fills `reasons`."""
        found = state.candidates
        if not state.request.explain or not len(found):
            return state
        reasons = [
            source_reason(KINDS[source], state, self._shop, found, place)
            for place, source in enumerate(found.sources.tolist())
        ]
        places = np.flatnonzero(found.sources == _EXPLAINED)
        if len(places):
            try:
                answer = await self._guard.call(
                    "explain", "explain", state.budget, lambda: self._explain(state, places)
                )
            except PartError:
                answer, state = None, state.without("explain", "reasons of the sources")
            for place, code in zip(places, _codes(answer), strict=False):
                reasons[place] = model_reason(code, self._shop) or reasons[place]
        return state.having(reasons=tuple(reasons))

    async def _explain(self, state: State, places: np.ndarray) -> Answer | None:
        if EXPLAIN not in await self._models.signatures(self._model):
            return None
        items = self._shop.ids[state.candidates.rows[places]].reshape(1, -1)
        return await ask(self._models, self._model, EXPLAIN, state.features, {ITEMS: items})


def _codes(answer: Answer | None) -> list[str]:
    codes = [] if answer is None else answer.outputs[REASONS][0].tolist()
    return [code.decode() if isinstance(code, bytes) else code for code in codes]
