"""The step that takes out what may not be shown."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Protocol

import numpy as np

from tfrec.errors import UserError
from tfrec.service.api import Filters
from tfrec.service.flow.merge import fuse
from tfrec.service.flow.shop import Shop
from tfrec.service.flow.state import State

_SOME = 1000


class StandIns(Protocol):
    """Finds more candidates."""

    async def stand_in(self, state: State) -> State:
        """Adds to `found` what was not asked yet."""


class Filter:
    """Takes candidates out, and names the filter that left nothing.

    Where too few are left for the slate, stand-ins are asked as well.
    """

    name = "filter"

    def __init__(self, shop: Shop, sources: StandIns) -> None:
        """Takes what is known of the items, and who stands in."""
        self._shop, self._sources = shop, sources

    async def __call__(self, state: State) -> State:
        """Thins `candidates`."""
        kept, emptied_by = passing(state, self._shop, state.candidates.rows)
        state = state.having(candidates=state.candidates.take(kept))
        if len(state.candidates) < state.request.k and (
            state.plan.scenario.fill or state.fallbacks
        ):
            state = await self._filled(state)
        if len(state.candidates):
            return state
        if emptied_by is None:  # sources may have filtered themselves
            some = self._shop.by_popularity[:_SOME]
            emptied_by = passing(state, self._shop, some)[1]
        return state.having(emptied_by=emptied_by)

    async def _filled(self, state: State) -> State:
        """Adds what stand-ins find behind what there is."""
        asked = await self._sources.stand_in(state)
        more = {kind: one for kind, one in asked.found.items() if kind not in state.found}
        fresh = fuse(more, state.plan.weights, state.plan.kinds)
        fresh = fresh.take(~np.isin(fresh.rows, state.candidates.rows))
        fresh = fresh.take(passing(state, self._shop, fresh.rows)[0])
        # Below the last of those before them.
        floor = float(state.candidates.scores.min(initial=1.0))
        scores = fresh.scores * (floor / max(float(fresh.scores.max(initial=0)), 1e-9)) * 0.5
        both = state.candidates.joined(replace(fresh, scores=scores))
        return asked.having(candidates=both, found=asked.found)


def check_filters(filters: Filters, shop: Shop) -> None:
    """Checks that a request filters by what there is.

    Raises:
      UserError: if it names another feature, number or flag.
    """
    numbers = shop.numbers()
    for field, given, known in (
        ("only", filters.only, shop.columns.categories),
        ("without", filters.without, shop.columns.categories),
        ("least", filters.least, numbers),
        ("most", filters.most, numbers),
        ("flags", filters.flags, shop.assortment.flags),
    ):
        for name in given:
            if name not in known:
                raise UserError(
                    f"filters.{field}: {name!r} is no feature to filter by; known: "
                    f"{', '.join(known) or 'none'}"
                )


def passing(state: State, shop: Shop, rows: np.ndarray) -> tuple[np.ndarray, str | None]:
    """Finds the items that pass all filters of a request.

    Args:
      state: of the request.
      shop: knows the items.
      rows: `[n]` int64 rows.

    Returns:
      `[n]` bool; and the filter that left nothing of them, None where some pass or there were none.
    """
    kept = np.ones(len(rows), bool)
    for name, passes in _filters(state, shop, rows):
        before = kept.any()
        kept &= passes
        if before and not kept.any():
            return kept, name
    return kept, None


def _filters(state: State, shop: Shop, rows: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """The filters of a request: name, and which items pass."""
    filters, today = state.request.filters, shop.assortment
    if filters.in_stock:
        yield "stock", today.in_stock[rows]
    for flag in filters.flags:
        yield f"flags: {flag}", ~today.flags[flag][rows]
    if len(state.hidden):
        yield "hidden", ~np.isin(rows, state.hidden)
    if state.request.exclude or len(state.asked):
        excluded = np.r_[shop.rows(state.request.exclude), state.asked]
        yield "exclude", ~np.isin(rows, excluded)
    if state.plan.scenario.bought == "leave_out":
        yield "bought", ~np.isin(rows, state.history)
    for name, values in filters.only.items():
        yield f"only: {name}", shop.columns.categories[name].has(rows, values)
    for name, values in filters.without.items():
        yield f"without: {name}", ~shop.columns.categories[name].has(rows, values)
    numbers = shop.numbers() if filters.least or filters.most else {}
    # Nothing compares with NaN: where the number is not known, the item does not pass.
    for name, bound in filters.least.items():
        yield f"least: {name}", numbers[name][rows] >= bound
    for name, bound in filters.most.items():
        yield f"most: {name}", numbers[name][rows] <= bound
