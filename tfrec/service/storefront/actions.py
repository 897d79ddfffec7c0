"""What visitors do, as events."""

import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

from tfrec.service.gateway import Gateway, Item
from tfrec.service.storefront.errors import PageError
from tfrec.service.storefront.place import Place
from tfrec.service.storefront.visitor import Visitor

ACTIONS = ("cart", "purchase", "hide")
"""Types of events that buttons send."""

_ONCE = re.compile(r"[0-9a-f]{32}")


async def act(gateway: Gateway, visitor: Visitor, form: Mapping[str, str]) -> Visitor:
    """Does what a button says: puts an item into the basket, buys it or hides it.

    Args:
      gateway: takes the event.
      visitor: who pressed it.
      form: `type`, `item`, `once` (a form that is sent again has the same), `place`, `coupon`.

    Returns:
      The visitor with the basket as it is then.

    Raises:
      PageError: if the form is none of this shop's.
      UnknownItemError: if there is no such item.
      LogError: if the event cannot be written.
    """
    kind, once = form.get("type", ""), form.get("once", "")
    if kind not in ACTIONS:
        raise PageError(
            422, f"type: {kind[:40]!r} is no button of this shop: {', '.join(ACTIONS)}."
        )
    if not _ONCE.fullmatch(once):
        raise PageError(422, "once: the form's number is missing; load the page again.")
    item = gateway.item(form.get("item", ""))
    place = Place.read(form.get("place", ""))
    events = [_event(visitor, kind, item, once, place, form.get("coupon"))]
    if kind == "purchase" and form.get("coupon"):
        events.append(events[0] | {"id": f"{once}-redemption", "type": "coupon_redemption"})
    await _send(gateway, events)
    changed = visitor.with_item(item.id) if kind == "cart" else visitor.without_items(item.id)
    return changed.saying(kind, item.id)


async def buy_basket(gateway: Gateway, visitor: Visitor, form: Mapping[str, str]) -> Visitor:
    """Buys what is in the basket.

    Args:
      gateway: takes the events.
      visitor: whose basket it is.
      form: `once`.

    Returns:
      The visitor with an empty basket.

    Raises:
      PageError: if the form is none of this shop's, or the basket is empty.
      UnknownItemError: if an item is gone from the catalogue.
      LogError: if the events cannot be written.
    """
    once = form.get("once", "")
    if not _ONCE.fullmatch(once):
        raise PageError(422, "once: the form's number is missing; load the page again.")
    if not visitor.basket:
        raise PageError(422, "The basket is empty; put something into it first.")
    items = [gateway.item(one) for one in visitor.basket]
    await _send(
        gateway,
        [
            _event(visitor, "purchase", item, f"{once}-{number}", None)
            for number, item in enumerate(items)
        ],
    )
    return visitor.without_items(*visitor.basket).saying("bought", items[-1].id)


async def look(gateway: Gateway, visitor: Visitor, item: Item, place: Place | None) -> None:
    """Notes that an item's page was opened: a click on a slate, or else a view, once an hour."""
    if place:
        event = _event(visitor, "click", item, f"{place.request_id}-{place.position}", place)
    else:
        hour = int(time.time()) // 3600
        event = _event(visitor, "view", item, f"{visitor.session}-{hour}-{item.id}"[:200], None)
    await _send(gateway, [event])


def _event(
    visitor: Visitor,
    kind: str,
    item: Item,
    once: str,
    place: Place | None,
    coupon: str | None = None,
) -> dict[str, Any]:
    fields = {
        "id": f"{once}-{kind}",
        "type": kind,
        "user": visitor.user,
        "session": visitor.session,
        "item": item.id,
        "coupon": coupon or None,
        **(place.fields if place else {}),
    }
    if kind == "purchase":
        fields |= {"quantity": 1, "price": _price(item)}
    return {name: value for name, value in fields.items() if value is not None}


def _price(item: Item) -> float | None:
    price = item.features.get("price")
    return price if isinstance(price, float | int) and price >= 0 else None


async def _send(gateway: Gateway, events: Sequence[Mapping[str, Any]]) -> None:
    for verdict in await gateway.take_events(events):
        if verdict.status == "rejected":
            raise PageError(422, f"The shop could not take this in: {verdict.reason}")
