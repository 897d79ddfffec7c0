"""What one message of a shopper says, as far as rules can read it."""

import re
from dataclasses import dataclass
from typing import Literal

from tfrec.service.guide.amounts import CUT, Price, cut_price, cut_quantity
from tfrec.service.search.words import COMMON, plain, words

Relative = Literal["cheap", "cheaper", "dearer"]
Relation = Literal["new", "also", "narrower"]

_OVER = (
    r"start (?:over|again|new|afresh)|begin again|reset|new search|"
    r"forget (?:it|that|everything|all)"
)
_OTHER = (
    r"(?:something|anything|some) (?:else|different|other)|different ones|"
    r"other (?:ones|options|ideas|suggestions)|none of (?:these|those|them)|"
    r"(?:show me |show |see )?more (?:options|ideas|of (?:these|those|them))|"
    r"^(?:show me |show )?more\s*$|^next\s*$"
)
_CHEAPER = (
    r"cheaper(?: ones?)?|less expensive|(?<!not )too expensive|lower prices?|cost less|"
    r"not so expensive"
)
_DEARER = r"more expensive|pricier|dearer|fancier|higher prices?|better quality"
_CHEAP = (
    r"(?:very )?cheap(?:est)?|inexpensive|not (?:too|very) (?:expensive|pricey)|"
    r"affordable|low[- ]cost|low[- ]priced?|on a budget|bargains?"
)
_EXCLUDES = (
    r"\b(?:nothing (?:with|containing|of)|but not|not|no|nor|without(?: any)?|w/o|"
    r"except(?: for)?|excluding|exclude|free of|"
    r"avoid(?:ing)?|(?:do not|don ?t) (?:want|like|eat)|hate|(?:is |are |am )?allergic to|"
    r"anything but|minus|skip|leave out)\s+(?:any |the |a |an |to )?"
)
_PHRASE = r"(?!(?:{0})\b)[^\W_][\w'&-]*(?:\s+(?!(?:{0})\b)[^\W_][\w'&-]*){{0,2}}".format(
    "and|or|nor|but|for|with|under|over|please|instead|in|that|which|from|at|on|because|so|"
    "thanks|also|too|either|at|without|no|not|if|is|are|to|as|only|just|now|this|time|anymore|again"
)
_NEXT = r"(?:(?:\s*,)?\s+(?:or|nor|and)\s+(?:no |any |the )?(?!(?:a|an|some|maybe|also|with)\b){0})"
_LISTED = rf"{_PHRASE}(?:(?:\s*,\s*{_PHRASE})*{_NEXT.format(_PHRASE)}+)?"
_EXCLUDED = re.compile(rf"{_EXCLUDES}({_LISTED})")
_FREE = re.compile(r"([^\W\d_]+)[- ]free\b(?! range)")
_FINE = re.compile(
    rf"({_PHRASE})\s+(?:is|are)\s+(?:ok|okay|fine|allowed|alright)(?: again| now| too)?"
)
_ENTRIES = re.compile(r"\s*,\s*(?:or|nor|and)?\s*|\s+(?:or|nor|and)\s+")
_LEADING = re.compile(r"^(?:no|any|the)\s+")
_INSTEAD = re.compile(r"\binstead\b")
_ALSO = re.compile(r"^\W*(?:and|also|plus|what about|how about|or)\b")
_NARROWER = re.compile(r"^\W*(?:but|only|just|with|make it|rather)\b")
_POLITE = re.compile(
    r"\b(?:hi|hello|hey|please|thanks|thank you|no problem|no idea|i'm|i am|we are|"
    r"do you (?:have|sell)|have you got|recommend|suggest|find|buy|eat|drink|"
    r"looking for|search for|make it|what about|how about)\b"
)
_QUOTES = str.maketrans({"\u2019": "'", "\u2018": "'", "`": "'", "\u00b4": "'"})
_PARTS = re.compile(r"[;.!?:\"()<>{}\[\]|\\=*]+")
_AROUND = re.compile(
    r"^[\s,]*(?:(?:and|but|or|with|also|plus|only|just|rather|then|by|a|an)\s+)*|"
    r"(?:\s+(?:and|but|or)|[\s,])+$"
)
_LONGEST_SUBJECT = 200


@dataclass(frozen=True)
class Turn:
    """What one message says.

    Attributes:
      subject: the words that are none of the constraints, with their separators.
      relation: whether the subject stands for itself, comes beside that of before, or narrows it.
      price: bounds of the price.
      relative: what it says of the price without an amount.
      quantity: how many items are wanted.
      excluded: what is not wanted.
      allowed: what is wanted again.
      instead: whether what is not wanted replaces that of before.
      other: whether other items are wanted than those that were shown.
      start_over: whether all that was said before is void.
      categories: values of the catalogue that a language model read; rules look for them later.
    """

    subject: str = ""
    relation: Relation = "new"
    price: Price | None = None
    relative: Relative | None = None
    quantity: int | None = None
    excluded: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()
    instead: bool = False
    other: bool = False
    start_over: bool = False
    categories: tuple[str, ...] = ()

    @property
    def says_something(self) -> bool:
        """Whether anything was read."""
        return self != Turn(relation=self.relation)


def read_turn(message: str, without_free: frozenset[str]) -> Turn:
    """Reads a message by rules.

    Args:
      message: what a shopper writes; any text.
      without_free: words that are left out where somebody asks for what is free of them; others,
        as in `sugar free`, are what labels say.

    Returns:
      What it says; words that no rule takes are the subject.
    """
    text = " ".join(plain(message.translate(_QUOTES)).split())
    start_over, text = _cut(_OVER, text)
    other, text = _cut(_OTHER, text)
    relation: Relation = (
        "also" if _ALSO.match(text) else "narrower" if _NARROWER.match(text) else "new"
    )
    relative, text = _cut_relative(text)
    price, text = cut_price(text)
    allowed, text = _cut_fine(text)
    excluded, text = _cut_excluded(text, without_free)
    quantity, text = cut_quantity(text)
    instead = bool(_INSTEAD.search(text))
    return Turn(
        _subject(_INSTEAD.sub(" ", text)),
        relation,
        price,
        relative,
        quantity,
        excluded,
        allowed,
        instead,
        other,
        start_over,
    )


def _cut(form: str, text: str) -> tuple[bool, str]:
    cut = re.sub(rf"(?<!\w)(?:{form})(?!\w)", CUT, text)
    return cut != text, cut


def _cut_relative(text: str) -> tuple[Relative | None, str]:
    forms: tuple[tuple[Relative, str], ...] = (
        ("cheaper", rf"(?:{_CHEAPER})(?! than)"),
        ("dearer", rf"(?:{_DEARER})(?! than)"),
        ("cheap", _CHEAP),
    )
    for name, form in forms:
        found, rest = _cut(form, text)
        if found:
            return name, rest.replace(CUT, " ") if name == "cheap" else rest
    return None, text


def _cut_fine(text: str) -> tuple[tuple[str, ...], str]:
    if (found := _FINE.search(text)) is None:
        return (), text
    return (found[1],), text[: found.start()] + CUT + text[found.end() :]


def _cut_excluded(text: str, without_free: frozenset[str]) -> tuple[tuple[str, ...], str]:
    phrases: list[str] = []

    def listed(found: re.Match[str]) -> str:
        phrases.extend(_LEADING.sub("", entry) for entry in _ENTRIES.split(found[1]))
        return CUT

    def free(found: re.Match[str]) -> str:
        if without_free.isdisjoint(words(found[1])):
            return found[0]
        phrases.append(found[1])
        return " "

    text = _FREE.sub(free, _EXCLUDED.sub(listed, _POLITE.sub(" ", text)))
    kept = [phrase for phrase in phrases if not COMMON.issuperset(words(phrase))]
    return tuple(dict.fromkeys(kept)), text


def _subject(text: str) -> str:
    """What is left, without words and signs around it that say nothing."""
    parts = [" ".join(part.split()) for part in _PARTS.split(_POLITE.sub(" ", text))]
    parts = [_AROUND.sub("", part) for part in parts]
    named = [part for part in parts if not COMMON.issuperset(words(part))]
    return " ; ".join(named)[:_LONGEST_SUBJECT]
