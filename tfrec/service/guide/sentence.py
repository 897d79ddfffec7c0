"""The guide's reply in words, by rules."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tfrec.service.api import Slate, Understood

_SHOWN = re.compile(r"[^\w\s'&,.%-]")
_LONGEST = 80
_FILTERS = {
    "only": "the category",
    "without": "what you do not want",
    "flags": "what you do not want",
    "least": "the lowest price",
    "most": "the highest price",
    "stock": "what is in stock",
    "exclude": "what you saw before",
}
_MOST_WORDS = 5


@dataclass(frozen=True)
class Notes:
    """What a shopper should know besides.

    Attributes:
      no_prices: whether a price was asked for and none is known.
      by_label: what could be left out by names and categories only.
      unknown: words that the catalogue does not have.
      nothing_known: whether none of the words is in the catalogue, so that what is shown is
        something else.
      try_instead: categories to ask for.
      other: whether other items than before were asked for.
      brands: values of brands that were asked for.
      start_over: whether nothing is asked for any more.
    """

    no_prices: bool = False
    by_label: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    nothing_known: bool = False
    try_instead: tuple[str, ...] = ()
    other: bool = False
    brands: tuple[str, ...] = ()
    start_over: bool = False


def sentence(
    slate: Slate, understood: Understood, excluded: Sequence[str], notes: Notes, currency: str
) -> str:
    """Says what was found.

    Args:
      slate: what is shown.
      understood: what was asked for.
      excluded: what is not wanted, as the shopper said it.
      notes: what should be known besides.
      currency: sign of the prices.

    Returns:
      One sentence, and up to three short ones that restrict it. Of the shopper's words only
      letters, digits and a few signs come back.
    """
    said = [_found(slate, understood, excluded, notes, currency)]
    if notes.unknown and not notes.nothing_known:
        said.append(f"I do not know {_listed(notes.unknown, 'or')}.")
    if notes.no_prices:
        said.append("I do not know the prices here, so I left the price out.")
    if notes.by_label and slate.items:
        said.append(
            f"I went by names and categories to leave out {_listed(notes.by_label, 'and')}; "
            "please check the label."
        )
    return " ".join(said)


def _found(
    slate: Slate, understood: Understood, excluded: Sequence[str], notes: Notes, currency: str
) -> str:
    conditions = _conditions(understood, excluded, notes, currency)
    if notes.nothing_known:
        unknown = f" {_listed(notes.unknown, 'or')}" if notes.unknown else " that"
        instead = [value.lower() for value in notes.try_instead]
        hint = f"; try {_listed(instead, 'or')}" if instead else ""
        return f"I did not find{unknown} in our catalogue{hint}." + (
            " Until then, here is what may suit you." if slate.items else ""
        )
    if notes.start_over and not understood.about and not conditions:
        return "We start over: tell me what you are looking for. Here is what may suit you."
    about = f" for {_shown(understood.about)}" if understood.about else ""
    if not slate.items:
        by = _FILTERS.get((slate.emptied_by or "").partition(":")[0])
        why = f": {by} leaves nothing" if by else ""
        return f"I found nothing{about}{conditions}{why}; ask for less, or say start over."
    count = len(slate.items)
    other = "more " if notes.other else ""
    return f"I found {count} {other}{'item' if count == 1 else 'items'}{about}{conditions}."


def _conditions(
    understood: Understood, excluded: Sequence[str], notes: Notes, currency: str
) -> str:
    filters = understood.filters
    parts = []
    least, most = filters.least.get("price"), filters.most.get("price")
    if notes.brands:
        parts.append(f"of {_listed(notes.brands, 'or')}")
    if least is not None and most is not None and least <= most:
        parts.append(f"from {currency}{least:.2f} to {currency}{most:.2f}")
    else:
        if least is not None:
            parts.append(f"at {currency}{least:.2f} or more")
        if most is not None:
            parts.append(f"at {currency}{most:.2f} or less")
    known = [phrase for phrase in excluded if phrase not in notes.unknown]
    if known:
        parts.append(f"without {_listed(known, 'or')}")
    return f", {', '.join(parts)}" if parts else ""


def _listed(phrases: Sequence[str], last: str) -> str:
    shown = [text for phrase in phrases[:_MOST_WORDS] if (text := _shown(phrase))]
    if len(shown) < 2:
        return "".join(shown)
    return f"{', '.join(shown[:-1])} {last} {shown[-1]}"


def _shown(text: str) -> str:
    """A shopper's words without any sign that could be markup."""
    clean = " ".join(_SHOWN.sub(" ", text.replace(" ; ", ", ")).split())
    return clean if len(clean) <= _LONGEST else f"{clean[:_LONGEST].rstrip()}..."
