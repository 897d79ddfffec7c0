"""The step that minds what stands beside what."""

from collections import Counter

import numpy as np

from tfrec.service.flow.columns import UNKNOWN
from tfrec.service.flow.config import Diversity, RerankConfig
from tfrec.service.flow.filters import passing
from tfrec.service.flow.shop import Shop
from tfrec.service.flow.state import NO_ITEM, Candidates, State

PINNED = "pinned"


class Rerank:
    """Spreads categories, caps them, and pins items to their places."""

    name = "rerank"

    def __init__(self, shop: Shop, config: RerankConfig) -> None:
        """Takes the rules; their features and items have to be the catalogue's."""
        self._shop, self._config = shop, config
        self._pins = {place: int(shop.rows([item])[0]) for place, item in config.pins.items()}

    def __call__(self, state: State) -> State:
        """Orders `candidates` anew."""
        found, k = state.candidates, state.request.k
        if not len(found):
            return state
        order = np.arange(len(found))
        if self._config.diversity:
            order = self._spread(found, order, self._config.diversity, k)
        if self._config.caps:
            order = self._capped(found, order)
        found = found.take(order)
        return state.having(candidates=self._pinned(found, state, k) if self._pins else found)

    def _spread(
        self, found: Candidates, order: np.ndarray, config: Diversity, k: int
    ) -> np.ndarray:
        """Takes what is best by its rank and by how often its category is there already.

        Source: after Carbonell and Goldstein, The Use of MMR, SIGIR 1998; items are alike or not.
        """
        pool = min(max(config.pool, k), len(order))
        codes = self._codes(config.feature, found.rows[order[:pool]])
        worth = (1 - config.strength) * (1 - np.arange(pool) / pool)
        taken: list[int] = []
        for _ in range(min(k, pool)):
            best = int(np.argmax(worth))
            taken.append(best)
            worth[best] = -np.inf
            if codes[best] != UNKNOWN:
                worth[codes == codes[best]] -= config.strength
        return np.r_[order[taken], np.delete(order, taken)]

    def _capped(self, found: Candidates, order: np.ndarray) -> np.ndarray:
        """Leaves out what is too much of one value, beside what is before it."""
        rules = [
            (self._codes(feature, found.rows[order]).tolist(), most, Counter[int]())
            for feature, most in self._config.caps.items()
        ]
        kept = []
        for place in range(len(order)):
            if all(codes[place] == UNKNOWN or n[codes[place]] < most for codes, most, n in rules):
                kept.append(int(order[place]))
                for codes, _, counts in rules:
                    counts[codes[place]] += 1
        return np.array(kept, np.int64)

    def _pinned(self, found: Candidates, state: State, k: int) -> Candidates:
        """Puts items in their places that pass the filters, candidates or not."""
        pinned = np.array([row for _, row in sorted(self._pins.items())])
        passes, _ = passing(state, self._shop, pinned)
        pairs = zip(sorted(self._pins), pinned.tolist(), passes, strict=True)
        held = [(place, row) for place, row, may in pairs if may and place <= k]
        # All leave their old places before the first takes its own, which none is to shift.
        order = np.flatnonzero(~np.isin(found.rows, [row for _, row in held])).tolist()
        for place, row in held:
            there = np.flatnonzero(found.rows == row)
            if not len(there):
                if place > len(order) + 1:
                    continue
                there = np.array([len(found)])
                found = found.joined(_pin(row, state.plan.kinds[PINNED]))
            order.insert(place - 1, int(there[0]))
        return found.take(np.array(order, np.int64))

    def _codes(self, feature: str, rows: np.ndarray) -> np.ndarray:
        return self._shop.columns.single[feature].codes[rows]


def _pin(row: int, source: int) -> Candidates:
    nothing = np.array([np.nan]), np.array([source]), np.array([NO_ITEM])
    return Candidates(np.array([row]), *nothing)
