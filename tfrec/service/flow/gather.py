"""The step that finds out who asks, and about what."""

import asyncio
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfrec.data.profiles import calendar_features
from tfrec.errors import UserError
from tfrec.features.spec import Categorical, MultiCategorical, Numeric, Text
from tfrec.service import metrics
from tfrec.service.events import ANONYMOUS
from tfrec.service.feature_store import FeatureStore, Shopper
from tfrec.service.flow.columns import Category
from tfrec.service.flow.errors import UnknownItemError
from tfrec.service.flow.shop import Shop
from tfrec.service.flow.state import NOBODY, State
from tfrec.service.resilience.guard import Guard, PartError

STORE, COLD_START = "store", "cold start"

_TEXT = (str,), "no text; give it in quotes"
_NOTHING: tuple[tuple[type, ...], str] = (), "cannot be sent; leave it out"
_TAKES: Mapping[type, tuple[tuple[type, ...], str]] = {
    Categorical: _TEXT,
    Text: _TEXT,
    MultiCategorical: ((str, tuple), "no text, nor a list of such"),
    Numeric: ((int, float), "no number; give one, e.g. 3.5"),
}


class Gather:
    """Reads the shopper's features, and adds what the request tells.

    A store that does not answer leaves a shopper of whom nothing is known.
    """

    name = "gather"

    def __init__(self, shop: Shop, store: FeatureStore, guard: Guard) -> None:
        """Takes what it asks."""
        self._shop, self._store, self._guard = shop, store, guard

    async def __call__(self, state: State) -> State:
        """Fills `asked`, `shopper`, `features`, `history` and `hidden`.

        Raises:
          UnknownItemError: if the request is about an item that the catalogue lacks.
          UserError: if the context names a feature that there is not.
        """
        request, shop = state.request, self._shop
        asked = self._asked(request.items)
        self._check(request.context)
        visitor = visitor_of(request.user, request.session)
        shopper = NOBODY
        if visitor is not None:
            try:
                shopper = await self._guard.call(
                    STORE, "gather", state.budget, lambda: self._find(visitor, state)
                )
                metrics.count_known("user", int(shopper.is_known), int(not shopper.is_known))
            except PartError:
                state = state.without(STORE, COLD_START)
        features = {**calendar_features(state.moment), **shopper.features, **request.context}
        if request.user is not None:
            features[shop.user] = request.user
        recent = [one for one in request.recent if shop.rows([one])[0] >= 0]
        metrics.count_known("item", len(recent), len(request.recent) - len(recent))
        self._append(features, recent)
        return state.having(
            asked=asked,
            shopper=shopper,
            features=features,
            history=self._history(features, recent),
            hidden=_known(shop.rows(shopper.hidden)),
        )

    def _check(self, context: Mapping[str, Any]) -> None:
        """Refuses what no model could take, which would look as if the model had failed."""
        for name, value in context.items():
            if name not in self._shop.contexts:
                known = ", ".join(self._shop.contexts) or "none"
                raise UserError(f"context.{name}: no such feature; known: {known}")
            takes, remedy = _TAKES.get(type(self._shop.spec[name]), _NOTHING)
            if value is not None and not isinstance(value, takes):
                raise UserError(f"context.{name}: {reprlib.repr(value)}: {remedy}")

    async def _find(self, visitor: str, state: State) -> Shopper:
        return await asyncio.to_thread(self._store.find, visitor, state.moment)

    def _asked(self, items: Sequence[str]) -> np.ndarray:
        rows = self._shop.rows(items)
        unknown = [items[place] for place in np.flatnonzero(rows < 0)]
        metrics.count_known("item", len(rows) - len(unknown), len(unknown))
        if unknown:
            raise UnknownItemError(unknown)
        return rows

    def _append(self, features: dict[str, Any], recent: Sequence[str]) -> None:
        """Adds items that the request names to the sequences that hold such."""
        if not recent:
            return
        rows = self._shop.rows(recent)
        for name, sequence in self._shop.spec.sequences.items():
            values: list[str] = []
            column = self._shop.columns.categories.get(sequence.of)
            if sequence.of == self._shop.item:
                values = list(recent)
            elif isinstance(column, Category):
                codes = column.codes[rows]
                values = [column.values[code] for code in codes if code >= 0]
            if values and not sequence.types:
                features[name] = [*(features.get(name) or ()), *values][-sequence.last :]

    def _history(self, features: dict[str, Any], recent: Sequence[str]) -> np.ndarray:
        for name in self._shop.histories:
            if features.get(name):
                return _known(self._shop.rows(features[name]))
        return _known(self._shop.rows(recent))


def visitor_of(user: str | None, session: str | None) -> str | None:
    """What the store knows somebody by; None who is nobody in particular."""
    if user is not None:
        return user
    return None if session is None else ANONYMOUS + session


def _known(rows: np.ndarray) -> np.ndarray:
    return rows[rows >= 0]
