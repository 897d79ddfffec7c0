"""Why an item is on a slate, as a code and as a sentence."""

from collections.abc import Callable, Mapping

from tfrec.service.flow.shop import Shop
from tfrec.service.flow.state import Candidates, Reason, State
from tfrec.serving.names import BECAUSE_OF, BECAUSE_YOU_BOUGHT, BUY_AGAIN

_FOR_YOU = Reason("for_you", "Picked for you")
_POPULAR = Reason("popular", "Popular right now")
_AGAIN = Reason(BUY_AGAIN, "You buy this again and again")


def source_reason(kind: str, state: State, shop: Shop, found: Candidates, place: int) -> Reason:
    """The reason that a source gives for one of its items.

    Args:
      kind: of the source.
      state: of the request.
      shop: knows names.
      found: the candidates.
      place: of the item among them.
    """
    subject = int(found.subjects[place])
    make = _OF_SOURCE.get(kind)
    return make(state, shop, found, place, subject) if make else _FOR_YOU


def model_reason(code: str, shop: Shop) -> Reason | None:
    """A reason that `explain` gives as a sentence; None where it gives none."""
    kind, _, of = code.partition(":")
    if kind == BECAUSE_YOU_BOUGHT:
        row = int(shop.rows([of])[0])
        return Reason(code, f"Because you bought {shop.names[row] if row >= 0 else of}")
    if kind == BUY_AGAIN:
        return _AGAIN
    if kind == BECAUSE_OF:
        return Reason(code, _because_of(of, shop))
    return _POPULAR if kind == "popular" else None


def _because_of(feature: str, shop: Shop) -> str:
    if feature == shop.user:
        return _FOR_YOU.why
    if feature in shop.spec.sequences:
        return "Because of what you chose lately"
    return f"Because of the {feature.replace('_', ' ')}"


def _goes_with(state: State, shop: Shop, found: Candidates, place: int, subject: int) -> Reason:
    if subject < 0:
        return _FOR_YOU
    item, name = shop.catalogue.ids[subject], shop.names[subject]
    if len(state.asked):
        return Reason(f"goes_with:{item}", f"Goes with {name}")
    return Reason(f"{BECAUSE_YOU_BOUGHT}:{item}", f"Because you bought {name}")


def _alike(state: State, shop: Shop, found: Candidates, place: int, subject: int) -> Reason:
    return Reason(f"similar_to:{shop.catalogue.ids[subject]}", f"Similar to {shop.names[subject]}")


def _in_category(state: State, shop: Shop, found: Candidates, place: int, subject: int) -> Reason:
    category = shop.likeness
    code = int(category.codes[found.rows[place]]) if category else -1
    if category is None or code < 0:
        return _POPULAR
    value = category.values[code]
    return Reason(f"popular_in:{value}", f"Popular in {value.title()}")


def _offer(state: State, shop: Shop, found: Candidates, place: int, subject: int) -> Reason:
    coupon = found.columns["coupon"][place]
    return Reason(f"coupon:{coupon}", f"Coupon {coupon} for {shop.names[found.rows[place]]}")


def _query(state: State, shop: Shop, found: Candidates, place: int, subject: int) -> Reason:
    return Reason("matches", f"Found for “{state.request.query}”")


_Make = Callable[[State, Shop, Candidates, int, int], Reason]
_OF_SOURCE: Mapping[str, _Make] = {
    "item_to_item": _goes_with,
    "companions": _goes_with,
    "alike": _alike,
    "own_history": lambda *_: _AGAIN,
    "popular": lambda *_: _POPULAR,
    "popular_in_category": _in_category,
    "new_items": lambda *_: Reason("new", "New here"),
    "promotions": _offer,
    "search": _query,
    "text_model": _query,
    "pinned": lambda *_: Reason("pinned", "Our recommendation"),
}
