"""Which shelves stand on a page."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from tfrec.errors import UserError
from tfrec.service.api import RecommendationRequest, Slate
from tfrec.service.gateway import Gateway
from tfrec.service.storefront.visitor import Visitor


class Shelf(NamedTuple):
    """A slate on a page.

    Attributes:
      key: its name on the page.
      title: for people.
      slate: what stands on it; None where the service cannot make such a slate.
      problem: why it cannot.
    """

    key: str
    title: str
    slate: Slate | None
    problem: str = ""


class Wish(NamedTuple):
    """A shelf that is wanted.

    Attributes:
      key: its name on the page.
      title: for people.
      fields: of the request.
    """

    key: str
    title: str
    fields: Mapping[str, Any]


def home_wishes(visitor: Visitor, is_known: bool) -> list[Wish]:
    """The shelves of the first page."""
    wishes = [
        Wish("home", "Picked for you" if is_known else "Good to begin with", {"scenario": "home"}),
        Wish("reorder", "Buy it again", {"scenario": "reorder", "k": 6}),
        Wish("promotions", "Offers for you", {"scenario": "promotions", "k": 6}),
    ]
    return [*wishes, *basket_wishes(visitor)]


def basket_wishes(visitor: Visitor) -> list[Wish]:
    """The shelf that goes with the basket, if there is anything in it."""
    if not visitor.basket:
        return []
    fields = {"scenario": "complementary", "items": visitor.basket, "k": 6}
    return [Wish("basket", "Goes with your basket", fields)]


def item_wishes(item: str) -> list[Wish]:
    """The shelves of an item's page."""
    return [
        Wish(
            "complementary", "Goes with it", {"scenario": "complementary", "items": [item], "k": 6}
        ),
        Wish("similar", "More like this", {"scenario": "similar", "items": [item], "k": 6}),
    ]


def search_wish(query: str) -> Wish:
    """The shelf of what was found."""
    return Wish("search", f"Found for “{query}”", {"scenario": "search", "query": query, "k": 24})


async def fill(gateway: Gateway, visitor: Visitor, wishes: Sequence[Wish]) -> list[Shelf]:
    """Asks for all shelves at once; each item says why it is there.

    Raises:
      ValidationError: if a request cannot be right, as of a query that is too long.
      UnknownItemError: if a shelf is about an item that there is not.
    """
    return list(await asyncio.gather(*(_fill(gateway, visitor, wish) for wish in wishes)))


async def _fill(gateway: Gateway, visitor: Visitor, wish: Wish) -> Shelf:
    fields = {"k": 12, "explain": True, **visitor.asker, **wish.fields}
    request = RecommendationRequest.model_validate(fields)
    try:
        return Shelf(wish.key, wish.title, await gateway.recommend(request))
    except UserError as error:  # a scenario that this service is not set up for
        return Shelf(wish.key, wish.title, None, str(error))
