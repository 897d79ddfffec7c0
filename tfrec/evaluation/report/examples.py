"""What some shoppers are recommended, by name."""

from dataclasses import dataclass

import numpy as np

from tfrec.data.catalogue import Catalogue
from tfrec.data.query_set import QuerySet
from tfrec.evaluation.lists import Lists

_SHOPPERS, _HISTORY, _LIST, _BOUGHT = 6, 8, 10, 10


@dataclass(frozen=True)
class Recommended:
    """An item in a list.

    Attributes:
      name: of the item.
      is_hit: whether it is relevant.
    """

    name: str
    is_hit: bool


@dataclass(frozen=True)
class Example:
    """A shopper, by names of items.

    Attributes:
      shopper: the id.
      history: different items of what was bought before, the latest first; the first few.
      events_before: number of events before.
      recommended: the list, the best first; the first few.
      relevant: what was to be found; the first few.
      relevant_items: number of items that were to be found.
    """

    shopper: str
    history: list[str]
    events_before: int
    recommended: list[Recommended]
    relevant: list[str]
    relevant_items: int


def draw_examples(
    lists: Lists, queries: QuerySet, catalogue: Catalogue, seed: int
) -> list[Example]:
    """Draws shoppers with something to find by chance.

    Args:
      lists: what the model recommends to each shopper.
      queries: the shoppers.
      catalogue: the items' names.
      seed: of the draw.

    Returns:
      Six shoppers, or as many as there are.
    """
    places = np.flatnonzero(lists.relevant > 0)
    drawn = np.random.default_rng(seed).permutation(places)[:_SHOPPERS]
    return [_example(int(place), lists, queries, catalogue.names) for place in np.sort(drawn)]


def _example(place: int, lists: Lists, queries: QuerySet, names: np.ndarray) -> Example:
    alone = QuerySet(queries.table.slice(place, 1))
    _, seen = alone.seen
    latest = list(dict.fromkeys(seen[::-1].tolist()))
    shoppers, items = lists.wanted
    relevant = items[shoppers == place]
    pairs = zip(lists.items[place, :_LIST], lists.hits[place, :_LIST], strict=True)
    return Example(
        shopper=alone.users[0],
        history=names[latest[:_HISTORY]].tolist(),
        events_before=len(seen),
        recommended=[Recommended(names[row], bool(is_hit)) for row, is_hit in pairs if row >= 0],
        relevant=names[relevant[:_BOUGHT]].tolist(),
        relevant_items=len(relevant),
    )
