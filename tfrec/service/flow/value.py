"""The step that orders candidates by what they are worth."""

from collections.abc import Mapping

import numpy as np

from tfrec.service.flow.expression import Expression
from tfrec.service.flow.shop import Shop
from tfrec.service.flow.state import Candidates, State

SCORE, UPLIFT = "score", "uplift"


class ValueStep:
    """Puts the candidates in the order of an expression's value.

    A number that is not known of an item counts as 0. Where the ranking model did not answer, an
    expression that needs its tasks orders nothing.
    """

    name = "value"

    def __init__(
        self, shop: Shop, expression: Expression | None, weights: Mapping[str, float]
    ) -> None:
        """Takes the expression, or how the bundle weighs the tasks where there is none."""
        self._shop, self._expression, self._weights = shop, expression, weights

    def __call__(self, state: State) -> State:
        """Orders `candidates`, whose scores become the values."""
        found = state.candidates
        if not len(found):
            return state
        values = self._values(state, found)
        if values is None:
            return state
        order = np.argsort(-values, kind="stable")
        scored = Candidates(found.rows, values, found.sources, found.subjects, found.columns)
        return state.having(candidates=scored.take(order))

    def _values(self, state: State, found: Candidates) -> np.ndarray | None:
        if self._expression is None:
            weights = {task: self._weights[task] for task in state.tasks if task in self._weights}
            weights = weights or dict.fromkeys(state.tasks[:1], 1.0)
            if not weights:
                return None
            return sum(
                (weight * _known(found.columns[task]) for task, weight in weights.items()),
                np.zeros(len(found)),
            )
        numbers, values = self._shop.numbers(), {}
        for name in self._expression.names:
            if name == SCORE:
                values[name] = found.scores
            elif name in found.columns:
                values[name] = _known(found.columns[name])
            elif name == UPLIFT:
                values[name] = np.zeros(len(found))
            elif name in numbers:
                values[name] = _known(numbers[name][found.rows])
            else:
                return None
        return self._expression(values)


def _known(values: np.ndarray) -> np.ndarray:
    return np.nan_to_num(values, posinf=0, neginf=0)
