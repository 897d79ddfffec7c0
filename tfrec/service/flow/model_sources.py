"""Where candidates come from that other parts have to be asked for."""

import asyncio
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np

from tfrec.retrieval.filters import LEAST, MOST, NEW_ITEMS, ONLY
from tfrec.service.api import Filters
from tfrec.service.flow.asking import ids_input, inputs_of
from tfrec.service.flow.filters import passing
from tfrec.service.flow.models import Models
from tfrec.service.flow.shop import Shop
from tfrec.service.flow.state import NOTHING, Found, State
from tfrec.service.search.search import Search
from tfrec.serving.names import EXCLUDE, FILTERED, IDS, RECOMMEND, K
from tfrec.serving.signature import Signature

_MOST_ASKED = 5
_LATE = 60.0


class Told(NamedTuple):
    """What a part says.

    Attributes:
      found: the items.
      version: of the model; None where no model was asked.
    """

    found: Found
    version: str | None = None


class OutsideSource(Protocol):
    """Finds candidates by asking a part that may fail."""

    @property
    def part(self) -> str:
        """Its name, for fallbacks and breakers."""

    @property
    def model(self) -> str | None:
        """The model that it asks; None where it asks none."""

    async def find(self, state: State, count: int) -> Told:
        """Finds at most `count` items for a request."""


class Retrieval:
    """What the experiment's own model recommends to the shopper."""

    part = "retrieval"

    def __init__(self, shop: Shop, models: Models, model: str) -> None:
        """Takes the model's name."""
        self._shop, self._models, self.model = shop, models, model

    async def find(self, state: State, count: int) -> Told:
        """Asks `recommend`, or `recommend_filtered` where the bundle filters by what is asked."""
        known = await self._models.signatures(self.model)
        conditions = self._conditions(state, known)
        signature = FILTERED if conditions else RECOMMEND
        unwanted = np.r_[state.hidden, state.asked, self._shop.rows(state.request.exclude)]
        given = {
            K: np.asarray(min(count, len(self._shop)), np.int32),
            EXCLUDE: ids_input(self._shop.ids[unwanted[unwanted >= 0]]),
            **conditions,
        }
        inputs = inputs_of(state.features, known[signature].inputs, given)
        answer = await self._models.run(self.model, signature, inputs)
        rows = self._shop.rows(answer.outputs[IDS][0].tolist())
        return Told(Found(rows[rows >= 0]), answer.version)

    def _conditions(self, state: State, known: Mapping[str, Signature]) -> dict[str, np.ndarray]:
        """The inputs of a filter, where there is one that is of use."""
        if FILTERED not in known:
            return {}
        specs = {
            name: spec
            for name, spec in known[FILTERED].inputs.items()
            if name not in known[RECOMMEND].inputs
        }
        wanted = state.request.filters
        given = {
            **{ONLY + name: list(values) for name, values in wanted.only.items()},
            **{LEAST + name: value for name, value in wanted.least.items()},
            **{MOST + name: value for name, value in wanted.most.items()},
        }
        if not specs.keys() & given.keys():
            return {}
        made = inputs_of(given, {n: s for n, s in specs.items() if n != NEW_ITEMS}, {})
        return {**made, NEW_ITEMS: np.asarray(0, np.int32)}


class Companions:
    """What goes with the items asked about, by a model that takes an item."""

    part = "companions"

    def __init__(self, shop: Shop, models: Models, model: str) -> None:
        """Takes the model's name."""
        self._shop, self._models, self.model = shop, models, model

    async def find(self, state: State, count: int) -> Told:
        """Asks for each of the last items, and takes the best of each in turn."""
        seeds = state.asked if len(state.asked) else state.history[-1:]
        seeds = seeds[-_MOST_ASKED:]
        if not len(seeds):
            return Told(Found(NOTHING))
        told = await asyncio.gather(*(self._of(int(seed), state, count) for seed in seeds))
        rows = np.concatenate([one.found.rows for one in told])
        subjects = np.repeat(seeds, [len(one.found.rows) for one in told])
        ranks = np.concatenate([np.arange(len(one.found.rows)) for one in told])
        order = np.argsort(ranks, kind="stable")  # so that an item is there for its best rank
        distinct, first, places = np.unique(rows[order], return_index=True, return_inverse=True)
        points = np.bincount(places, 1 / (_LATE + ranks[order]))
        best = np.lexsort((first, -points))[:count]
        return Told(Found(distinct[best], subjects[order][first[best]]), told[0].version)

    async def _of(self, seed: int, state: State, count: int) -> Told:
        shop = self._shop
        features = {**shop.catalogue.features(seed), shop.item: str(shop.catalogue.ids[seed])}
        return await _recommended(shop, self._models, self.model, features, state.asked, count)


class SearchSource:
    """What the words of a query find."""

    part, model = "search", None

    def __init__(self, shop: Shop, search: Search) -> None:
        """Takes what finds items by words."""
        self._shop, self._search = shop, search

    async def find(self, state: State, count: int) -> Told:
        """Searches in a thread, among what the request allows if there is anything."""
        query = state.request.query
        if not query:
            return Told(Found(NOTHING))
        return Told(Found(await asyncio.to_thread(self._rows, state, query, count)))

    def _rows(self, state: State, query: str, count: int) -> np.ndarray:
        if state.request.filters != Filters():
            allowed, _ = passing(state, self._shop, np.arange(len(self._shop)))
            if len(rows := self._search.find(query, count, allowed).rows):
                return rows
        return self._search.find(query, count).rows


class TextModel:
    """What a model finds by the text of a query."""

    part = "text_model"

    def __init__(self, shop: Shop, models: Models, model: str, feature: str) -> None:
        """Takes the model's name, and its feature that takes the text."""
        self._shop, self._models, self.model, self._feature = shop, models, model, feature

    async def find(self, state: State, count: int) -> Told:
        """Asks `recommend`."""
        if not state.request.query:
            return Told(Found(NOTHING))
        features = {**state.features, self._feature: state.request.query}
        return await _recommended(self._shop, self._models, self.model, features, NOTHING, count)


async def _recommended(
    shop: Shop,
    models: Models,
    model: str,
    features: Mapping[str, Any],
    exclude: np.ndarray,
    count: int,
) -> Told:
    """What a model recommends for raw features, but for some items."""
    known = (await models.signatures(model))[RECOMMEND].inputs
    given = {
        K: np.asarray(min(count, len(shop)), np.int32),
        EXCLUDE: ids_input(shop.ids[exclude]),
    }
    answer = await models.run(model, RECOMMEND, inputs_of(features, known, given))
    rows = shop.rows(answer.outputs[IDS][0].tolist())
    return Told(Found(rows[rows >= 0]), answer.version)
