"""The catalogue's words, and which of them a shopper's word means."""

from bisect import bisect_left
from collections.abc import Sequence
from difflib import SequenceMatcher
from functools import lru_cache
from itertools import takewhile

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer

from tfrec.service.search.words import skeleton

_SHORTEST_ABBREVIATION = 3
_SHORTEST_PREFIX = 4
_SHORTEST_TYPO = 4
_SHORTEST_VARIANT = 7
_ABBREVIATION, _PREFIX = 0.9, 0.7
_TYPO_RATIO, _VARIANT_RATIO = 0.78, 0.9
_CANDIDATES = 12
_MOST_MATCHES = 16
_REMEMBERED = 4096


class Vocabulary:
    """Finds the words of a catalogue that a shopper's word means.

    These are the word itself; abbreviations of it, as labels have them (`FRZN`, `DRNK`); and what
    is written nearly alike. For a word that the catalogue lacks also those that begin with it, or
    that it begins with.
    """

    def __init__(self, known: Sequence[str]) -> None:
        """Takes the catalogue's words, as `words` gives them."""
        self._words = sorted(set(known))
        self._places = {word: place for place, word in enumerate(self._words)}
        self._short: dict[str, list[int]] = {}
        for place, word in enumerate(self._words):
            if len(word) >= _SHORTEST_ABBREVIATION and skeleton(word) == word:
                self._short.setdefault(word, []).append(place)
        self._grams = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 3), dtype=np.float32)
        long = [place for place, word in enumerate(self._words) if len(word) >= _SHORTEST_TYPO]
        self._long = np.array(long, np.int64)
        if long:
            self._by_gram = self._grams.fit_transform([self._words[place] for place in long]).T
        self.matches = lru_cache(_REMEMBERED)(self._matches)

    def __len__(self) -> int:
        """The number of words."""
        return len(self._words)

    def __getitem__(self, place: int) -> str:
        """The word at a place."""
        return self._words[place]

    def __contains__(self, word: object) -> bool:
        """Whether the catalogue has exactly this word."""
        return word in self._places

    def _matches(self, word: str) -> tuple[tuple[int, float], ...]:
        """Finds what a word may mean.

        Args:
          word: as `words` gives it.

        Returns:
          Places of the catalogue's words, each with how sure that is, in (0, 1]; the surest first.
        """
        found: dict[int, float] = {}
        known = self._places.get(word)
        if known is not None:
            found[known] = 1.0
        for place in self._short.get(skeleton(word), ()):
            found.setdefault(place, _ABBREVIATION)
        if known is None and len(word) >= _SHORTEST_PREFIX and not word.isdigit():
            for place in self._prefixes(word):
                found.setdefault(place, _PREFIX)
        shortest = _SHORTEST_TYPO if known is None else _SHORTEST_VARIANT
        if len(word) >= shortest and not word.isdigit():
            least = _TYPO_RATIO if known is None else _VARIANT_RATIO
            for place, ratio in self._alike(word, least):
                found[place] = max(ratio, found.get(place, 0.0))
        ordered = sorted(found.items(), key=lambda match: (-match[1], match[0]))
        return tuple(ordered[:_MOST_MATCHES])

    def _prefixes(self, word: str) -> list[int]:
        """Words that begin with this one, and those of four letters or more that begin it."""
        start = bisect_left(self._words, word)
        longer = takewhile(
            lambda place: self._words[place].startswith(word), range(start, len(self._words))
        )
        ends = range(_SHORTEST_PREFIX, len(word))
        shorter = [self._places[word[:end]] for end in ends if word[:end] in self._places]
        return [*longer, *shorter]

    def _alike(self, word: str, least: float) -> list[tuple[int, float]]:
        """Words written nearly alike, from the first letter: those that share most pieces."""
        if not len(self._long):
            return []
        shared = np.asarray((self._grams.transform([word]) @ self._by_gram).todense()).ravel()
        count = min(_CANDIDATES, len(shared))
        nearest = self._long[np.argpartition(-shared, count - 1)[:count]]
        ratios = [
            (int(place), SequenceMatcher(None, word, self._words[place]).ratio())
            for place in nearest
            if self._words[place][0] == word[0]
        ]
        return [(place, ratio) for place, ratio in ratios if least <= ratio < 1]
