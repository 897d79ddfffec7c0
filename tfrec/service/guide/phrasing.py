"""Whether a sentence that a language model wrote may be shown."""

import re
from collections.abc import Collection, Container, Mapping

from tfrec.service.search.words import COMMON, plain, words

_PLACE = re.compile(r"\{(\d{1,3})\}")
_FORBIDDEN = re.compile(r"[<>\[\]{}|\\`*_#@^~=\x00-\x1f]|https?:|www\.|[^\W\d]\.[a-z]{2,}\b")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)?")
_NAME = re.compile(r"(?<![.!?]\s)(?<!^)\b[A-Z][\w'&-]*")
_LONGEST = 400
_I = frozenset({"I", "I'm", "I've", "I'd", "I'll"})


class PhraseError(Exception):
    """A sentence says what it may not."""


def checked_phrase(
    text: str,
    names: Mapping[int, str],
    said: str,
    amounts: Collection[float],
    catalogue_words: Container[str],
) -> str:
    """Checks a sentence and puts the items' names into it.

    Items are named by their places alone, as `{1}`. Outside of these a sentence may not have words
    of the catalogue, names or amounts other than those of the slate and of the conversation: so it
    names no item that is not on the slate. Nor may it have links or markup.

    Args:
      text: what the model wrote.
      names: place on the slate -> name of the item there.
      said: what the shopper wrote, and the categories of the slate.
      amounts: numbers that may be named: prices, bounds and how many items there are.
      catalogue_words: words that name items.

    Returns:
      The sentence with the names in the places of their numbers.

    Raises:
      PhraseError: if it says anything else, or is empty or too long.
    """
    if not text.strip() or len(text) > _LONGEST:
        raise PhraseError(f"it has {len(text)} characters")
    for place in map(int, _PLACE.findall(text)):
        if place not in names:
            raise PhraseError(f"the slate has no place {place}")
    free = _PLACE.sub(" ", text)
    if found := _FORBIDDEN.search(free):
        raise PhraseError(f"{found[0]!r} is no part of a sentence")
    allowed = {word for known in (said, *names.values()) for word in words(known)} | COMMON
    for word in words(free):
        if not word.isdigit() and word in catalogue_words and word not in allowed | _PLAIN:
            raise PhraseError(f"{word!r} is of no item on the slate")
    for name in _NAME.findall(free.strip()):
        if name not in _I and not set(words(name)) <= allowed:
            raise PhraseError(f"{name!r} is of no item on the slate")
    for number in _NUMBER.findall(free):
        if not any(abs(float(number.replace(",", ".")) - amount) < 0.005 for amount in amounts):
            raise PhraseError(f"{number} is no price and no count of the slate")
    return _PLACE.sub(lambda found: names[int(found[1])], " ".join(text.split()))


# Words of catalogues that plain sentences have, too.
_PLAIN = frozenset(
    word
    for text in (
        "all also any best both budget choice choose enjoy even ever every everyday favorite few",
        "fine first found free fresh go great here high home just keep last less light low made",
        "make many mix more most natural new nice no not now one only option or other out over",
        "pack pick plain popular price quality quick ready right selection share simple size small",
        "special still suit super sure sweet take time top try two under up value variety well",
        "while within without yes plus party occasion list under dollar cost cheap",
    )
    for word in words(plain(text))
)
