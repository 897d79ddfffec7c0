"""Pages from templates; what a shop's data say is escaped."""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from hashlib import blake2b
from pathlib import Path
from secrets import token_hex
from urllib.parse import quote

import jinja2

from tfrec.service.api import Filters, Understood
from tfrec.service.storefront.pictures import picture
from tfrec.service.storefront.place import Place

STATIC = Path(__file__).parent / "static"

_TEMPLATES = Path(__file__).parent / "templates"
_SOURCES = {
    "retrieval": "the model's own pick",
    "item_to_item": "bought together with what you had",
    "companions": "goes with it",
    "own_history": "what you bought before",
    "popular": "what many buy",
    "popular_in_category": "what many buy of its kind",
    "alike": "its likeness",
    "pinned": "the shop's own choice",
    "new_items": "new in the shop",
    "promotions": "the offers",
    "search": "the search",
}
_CAPITALS = re.compile(r"\b[A-Z][A-Z0-9 /&.,'()%-]{2,}[A-Z0-9)%]\b")
_MOST_LISTED = 4


@cache
def environment() -> jinja2.Environment:
    """Templates, and what they need to draw items."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "address": address,
        "readable": readable,
        "sentence": sentence,
        "money": money,
        "quantity": quantity,
        "milliseconds": milliseconds,
        "kind": kind,
        "details": details,
        "source": source,
        "stand_in": stand_in,
        "wishes": wishes,
    }
    made.globals |= {
        "picture": picture,
        "place_of": Place.of,
        "once": lambda: token_hex(16),
        "version": _version(),
    }
    return made


def address(item: str) -> str:
    """An id as one part of a path, whatever is in it."""
    return quote(item, safe="")


def readable(name: str) -> str:
    """A name that is written in capitals, in the letters of a sentence."""
    if not name.isupper():
        return name
    return " ".join(word if len(word) <= 1 else word.capitalize() for word in name.split())


def sentence(text: str) -> str:
    """A sentence in which names in capitals are toned down."""
    return _CAPITALS.sub(lambda found: readable(found[0]), text)


def money(price: object) -> str:
    """A price as shops write it; empty where there is none."""
    return f"${price:,.2f}" if isinstance(price, float | int) and price >= 0 else ""


def quantity(number: float) -> str:
    """A number in few digits."""
    is_whole = number == number // 1 and number != 0
    return f"{number:,.0f}" if is_whole else f"{number:,.3g}"


def milliseconds(spent: float) -> str:
    """A time in few digits."""
    return f"{spent:.1f} ms" if spent < 100 else f"{spent:,.0f} ms"


def kind(features: Mapping[str, str | float | None], title: str) -> str:
    """What sort of thing an item is: its most special category that its title does not say."""
    said = title.lower()
    texts = [
        text for name, text in details(features) if name != "brand" and text.lower() not in said
    ]
    return texts[-1] if texts else ""


def details(features: Mapping[str, str | float | None]) -> list[tuple[str, str]]:
    """An item's categories for people, without those that are only codes."""
    return [
        (name.replace("_", " "), readable(value))
        for name, value in features.items()
        if isinstance(value, str) and not value.isdigit()
    ]


def source(name: str) -> str:
    """Where a candidate comes from, in words."""
    return _SOURCES.get(name, name.replace("_", " "))


def stand_in(fallback: str) -> tuple[str, str]:
    """What is not there, and what stands in."""
    part, _, instead = fallback.partition(":")
    return part.strip().replace("_", " "), instead.strip().replace("_", " ")


def wishes(understood: Understood) -> list[str]:
    """What a conversation asks for, one wish in each line."""
    said = [f"about: {understood.about}"] if understood.about else []
    said += _conditions(understood.filters)
    if understood.quantity:
        said.append(f"how many: {understood.quantity}")
    return said


def _conditions(filters: Filters) -> Iterable[str]:
    for name, values in filters.only.items():
        yield f"{name.replace('_', ' ')}: {_listed(values, ' or ')}"
    for name, values in filters.without.items():
        yield f"{name.replace('_', ' ')}: not {_listed(values, ', ')}"
    for name, number in filters.least.items():
        yield f"{name}: at least {_amount(name, number)}"
    for name, number in filters.most.items():
        yield f"{name}: at most {_amount(name, number)}"
    for flag in filters.flags:
        yield f"no {flag.replace('_', ' ')}"


def _listed(values: Sequence[str], between: str) -> str:
    """The first few of some values, and how many there are besides."""
    more = len(values) - _MOST_LISTED
    listed = between.join(map(readable, values[:_MOST_LISTED]))
    return f"{listed} and {more} more" if more > 0 else listed


def _amount(name: str, number: float) -> str:
    return money(number) if name == "price" else quantity(number)


def _version() -> str:
    """Names what the browser may keep: another one as soon as a file has changed."""
    content = b"".join(file.read_bytes() for file in sorted(STATIC.iterdir()))
    return blake2b(content, digest_size=6).hexdigest()
