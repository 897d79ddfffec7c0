"""Words of a text as they are compared."""

import re
import unicodedata
from collections.abc import Mapping, Sequence

_WORD = re.compile(r"[^\W_]+")
_APOSTROPHE_S = re.compile("['\u2019`\u00b4]s?(?!\\w)")
_VOWELS = re.compile(r"(?<=.)[aeiouy]")
_DOUBLES = re.compile(r"(.)\1+")
_SHORTEST_WITH_PLURAL = 4
_LONGEST = 40
_LONG_PLURAL = re.compile(r"(?:x|ch|sh|ss|z|\w{3}o)es$")
_NO_PLURAL = ("ss", "us", "is")

COMMON = frozenset(
    (
        "a",
        "an",
        "again",
        "and",
        "any",
        "anything",
        "are",
        "at",
        "be",
        "but",
        "can",
        "could",
        "do",
        "either",
        "for",
        "from",
        "get",
        "give",
        "good",
        "have",
        "i",
        "id",
        "if",
        "in",
        "is",
        "it",
        "items",
        "like",
        "looking",
        "me",
        "my",
        "need",
        "no",
        "not",
        "of",
        "on",
        "or",
        "our",
        "over",
        "please",
        "products",
        "show",
        "some",
        "something",
        "that",
        "the",
        "them",
        "there",
        "these",
        "they",
        "things",
        "this",
        "to",
        "too",
        "under",
        "us",
        "want",
        "we",
        "what",
        "which",
        "with",
        "would",
        "you",
        "your",
    )
)
"""Words of a question that name no item."""


def plain(text: str) -> str:
    """A text in lower case, in one width, without accents and without invisible characters."""
    if text.isascii():
        return text.lower()
    apart = unicodedata.normalize("NFKD", text.casefold())
    kept = [char for char in apart if unicodedata.category(char) not in ("Mn", "Cf")]
    return unicodedata.normalize("NFKC", "".join(kept))


def words(text: str) -> list[str]:
    """The words of a text in their order, each as `singular` makes it.

    Args:
      text: any; markup, signs and emoji are left out, and words of more than 40 characters.

    Returns:
      Words of letters and digits of any script.
    """
    found = _WORD.findall(_APOSTROPHE_S.sub(" ", plain(text)))
    return [singular(word) for word in found if len(word) <= _LONGEST]


def singular(word: str) -> str:
    """An English word without its plural; equal for both, though it may be no word.

    Example:
      >>> [singular(word) for word in ("cookies", "cookie", "dishes", "glass")]
      ['cooky', 'cooky', 'dish', 'glass']
    """
    if len(word) >= _SHORTEST_WITH_PLURAL and word.endswith("s") and not word.endswith(_NO_PLURAL):
        word = word[:-2] if _LONG_PLURAL.search(word) else word[:-1]
    if len(word) >= _SHORTEST_WITH_PLURAL and word.endswith("ie"):
        word = word[:-2] + "y"
    return word


def skeleton(word: str) -> str:
    """A word without vowels behind the first letter and without double letters.

    Example:
      >>> skeleton("frozen"), skeleton("dressing")
      ('frzn', 'drsng')
    """
    return _DOUBLES.sub(r"\1", _VOWELS.sub("", word))


def replaced(found: Sequence[str], synonyms: Mapping[tuple[str, ...], Sequence[str]]) -> list[str]:
    """Puts the catalogue's words in the place of the shoppers', the longest phrases first."""
    longest = max(map(len, synonyms), default=0)
    result: list[str] = []
    place = 0
    while place < len(found):
        for length in range(min(longest, len(found) - place), 0, -1):
            phrase = tuple(found[place : place + length])
            if phrase in synonyms:
                result += synonyms[phrase]
                place += length
                break
        else:
            result.append(found[place])
            place += 1
    return result
