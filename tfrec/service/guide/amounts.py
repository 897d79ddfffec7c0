"""Amounts in a sentence: prices, and how many items are wanted."""

import re
from typing import NamedTuple

_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_NUMBERS = {word: number for number, word in enumerate(re.findall(r"\w+", _ONES))}
_NUMBERS |= {word: 10 * number for number, word in enumerate(re.findall(r"\w+", _TENS), 2)}
_NUMBERS |= {"hundred": 100}

_UNITS = (
    r"(?:%|percent|oz|ozs|ounces?|lbs?|pounds?|g|grams?|kg|kilos?|ml|l|liters?|litres?|gal(?:lons?)?|ct|"
    r"pk|packs?|rolls?|calories|cal|kcal|carbs?|inch(?:es)?|in|cm|people|persons?|guests?|adults?|"
    r"kids?|children|years?|yrs?|months?|weeks?|days?|hours?|minutes?|items?|things?|products?)\b"
)
_WORDS = "|".join(_NUMBERS)
_FIGURE = r"\d{1,6}(?:,\d{3})*(?:[.,]\d{1,2})?(?!\d)"
_MONEY = r"(?:dollars?|bucks?|usd|euros?|eur|gbp|quid|[$€£])"
_AMOUNT = (
    rf"(?:[$€£]\s*{_FIGURE}|(?:\b(?:{_FIGURE}|(?:{_WORDS})\b))\s*{_MONEY}|"
    rf"(?:\b(?:{_FIGURE}|(?:{_WORDS})\b))\s*cents?\b)"
)
_PLAIN = rf"(?:{_AMOUNT}|(?:\b(?:{_FIGURE}|(?:{_WORDS})\b))(?!\s*-?\s*{_UNITS})(?![\w%]))"
_AT_MOST = (
    r"(?:under|below|less than|cheaper than|lower than|up to|at most|max(?:imum)?(?: of)?|"
    r"no more than|not (?:over|above|more than)|within|<=?|not exceeding)"
)
_AT_LEAST = (
    r"(?:over|above|more than|at least|min(?:imum)?(?: of)?|no less than|"
    r"not (?:under|below|less than)|>=?|starting at)"
)
_ABOUT = r"(?:about|around|roughly|approximately|circa|~)"
_BETWEEN = re.compile(rf"\b(?:between|from)\s+({_PLAIN})\s*(?:and|to|-)\s*({_PLAIN})")
_RANGE = re.compile(rf"((?:[$€£]\s*)?{_FIGURE})\s*(?:-|to)\s*({_AMOUNT})")
_OR_LESS = r"(?:or (?:less|under|cheaper)|max(?:imum)?|tops)"
_MOST = re.compile(rf"(?<!\w){_AT_MOST}\s*({_PLAIN})|({_AMOUNT})\s+{_OR_LESS}\b")
_LEAST = re.compile(rf"(?<!\w){_AT_LEAST}\s*({_PLAIN})|({_AMOUNT})\s+(?:or more|or above|and up)\b")
_NEAR = re.compile(rf"(?<!\w){_ABOUT}\s*({_AMOUNT})")
_BARE = re.compile(rf"(?:\b(?:for|with a budget of|budget(?: of| is)?)\s+)?({_AMOUNT})")
_NEARNESS = 0.25
_MOST_WANTED = 100

_COUNT = re.compile(
    rf"(?<![\w.,-])(half a dozen|a dozen|a couple(?: of)?|a few|several|\d{{1,3}}|{_WORDS})"
    rf"(?:\s+more)?\s+(?!{_UNITS})(?=[^\W\d])"
)
_COUNTS = {
    "half a dozen": 6, "a dozen": 12, "a couple": 2, "a couple of": 2, "a few": 3, "several": 4,
}  # fmt: skip
_COUNT_OF_THINGS = re.compile(rf"(?<![\w.,-])(\d{{1,3}}|{_WORDS})\s+(?:items|things|products)\b")
_GROUP = re.compile(
    rf"\bfor\s+(?:about\s+)?(?:\d{{1,4}}|{_WORDS})\s+(?:people|persons?|guests?|adults?)\b|"
    rf"(?<=\bfor\s)(?:\d{{1,4}}|{_WORDS})\s+(?=kids|children)"
)
CUT = " ; "
"""What stands where something was cut out: nothing goes on across it."""


class Price(NamedTuple):
    """Bounds of a price; None where there is none."""

    least: float | None = None
    most: float | None = None


def cut_price(text: str) -> tuple[Price | None, str]:
    """Takes what a sentence says of the price out of it.

    Args:
      text: as `plain` makes it.

    Returns:
      The bounds, None if nothing is said; and the rest of the text.

    Example:
      >>> cut_price("wine between 5 and 10 dollars")
      (Price(least=5.0, most=10.0), 'wine  ; ')
    """
    for form in (_BETWEEN, _RANGE):
        if found := form.search(text):
            low, high = sorted(map(_amount, _alike(found[1], found[2])))
            return Price(low, high), _without(text, found)
    least = most = None
    if found := _MOST.search(text):
        most, text = _amount(found[1] or found[2]), _without(text, found)
    if found := _LEAST.search(text):
        least, text = _amount(found[1] or found[2]), _without(text, found)
    if least is None and most is None:
        if found := _NEAR.search(text):
            near, text = _amount(found[1]), _without(text, found)
            return Price(round(near * (1 - _NEARNESS), 2), round(near * (1 + _NEARNESS), 2)), text
        if found := _BARE.search(text):
            return Price(most=_amount(found[1])), _without(text, found)
        return None, text
    return Price(least, most), text


def cut_quantity(text: str) -> tuple[int | None, str]:
    """Takes out how many items are wanted, from 1 to 100, and for how many people.

    Args:
      text: as `plain` makes it, without prices.

    Returns:
      How many items, None if nothing is said; and the rest of the text.
    """
    text = _GROUP.sub("", text)
    for form in (_COUNT_OF_THINGS, _COUNT):
        if found := form.search(text):
            count = _COUNTS.get(found[1]) or _NUMBERS.get(found[1]) or int(_digits(found[1]))
            if count:
                return min(count, _MOST_WANTED), text[: found.start()] + " " + text[found.end() :]
    return None, text


def _alike(low: str, high: str) -> tuple[str, str]:
    """In `50-80 cents` both are cents."""
    is_cents = high.endswith(("cent", "cents")) and not re.search(rf"{_MONEY}|cent", low)
    return (f"{low} cents" if is_cents else low), high


def _amount(text: str) -> float:
    figure = re.search(_FIGURE, text)
    if figure is None:
        word = re.search(_WORDS, text)
        value = float(_NUMBERS[max(re.findall(_WORDS, text), key=len)]) if word else 0.0
    else:
        value = float(_decimal(figure[0]))
    return value / 100 if "cent" in text else value


def _decimal(figure: str) -> str:
    """`1,000.50` and `2,50`: a comma before three digits is none of a fraction."""
    figure = re.sub(r",(?=\d{3}(?!\d))", "", figure)
    return figure.replace(",", ".")


def _digits(text: str) -> str:
    return text if text.isdigit() else "0"


def _without(text: str, found: re.Match[str]) -> str:
    return text[: found.start()] + CUT + text[found.end() :]
