"""The step that has a model score the candidates."""

import numpy as np

from tfrec.models.signatures import RANK
from tfrec.service import metrics
from tfrec.service.flow.asking import ask
from tfrec.service.flow.models import Answer, Models
from tfrec.service.flow.shop import Shop
from tfrec.service.flow.state import Candidates, State
from tfrec.service.resilience.guard import Guard, PartError
from tfrec.serving.names import ITEMS

RANKER, IN_ORDER = "ranker", "retrieval order"


class Rank:
    """Has the ranking model predict each of its tasks for the best candidates.

    A model that has no signature `rank` ranks nothing. One that does not answer leaves the order
    in which the candidates were merged.
    """

    name = "rank"

    def __init__(self, shop: Shop, models: Models, guard: Guard, model: str, most: int) -> None:
        """Takes the model's name, and how many candidates it scores."""
        self._shop, self._models, self._guard = shop, models, guard
        self._model, self._most = model, most

    async def __call__(self, state: State) -> State:
        """Adds a column for each task to `candidates`, and leaves those that are not scored out."""
        if not len(state.candidates):
            return state
        best = state.candidates.take(np.arange(min(self._most, len(state.candidates))))
        try:
            answer = await self._guard.call(
                RANKER, "rank", state.budget, lambda: self._predict(state, best)
            )
        except PartError:
            return state.without(RANKER, IN_ORDER)
        if answer is None:
            return state
        tasks = {task: values[0].astype(np.float64) for task, values in answer.outputs.items()}
        for task, values in tasks.items():
            metrics.observe_scores(task, values[~np.isnan(values)])
        ranked = Candidates(
            best.rows, best.scores, best.sources, best.subjects, {**best.columns, **tasks}
        )
        return state.answered(self._model, answer.version).having(
            candidates=ranked, tasks=tuple(tasks)
        )

    async def _predict(self, state: State, best: Candidates) -> Answer | None:
        if RANK not in await self._models.signatures(self._model):
            return None
        items = self._shop.ids[best.rows].reshape(1, -1)
        return await ask(self._models, self._model, RANK, state.features, {ITEMS: items})
