"""Finding items by what a shopper writes."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tfrec.data.catalogue import Catalogue
from tfrec.service.search.config import SearchConfig
from tfrec.service.search.lexical import LexicalIndex
from tfrec.service.search.vocabulary import Vocabulary
from tfrec.service.search.words import COMMON, replaced, words

SURE = 0.75
"""How sure it has to be that a word means another, where that decides and not only ranks."""

_MOST_WORDS = 32
_POPULAR = 0.15
_BESIDE, _PURPOSE = 0.6, 0.3
_FOR = "for"


class Found(NamedTuple):
    """Items that suit a question, the best first.

    Attributes:
      rows: `[found]` int64 catalogue rows.
      scores: `[found]` float32, falling.
    """

    rows: np.ndarray
    scores: np.ndarray


class Search:
    """Finds items by their words.

    Items whose words answer a question equally come in order of popularity, which also counts a
    little beside the words. It takes about a millisecond. Any number of threads may ask.

    Attributes:
      popularity: `[items]` how often each was bought; 1 each where that is not known.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        config: SearchConfig | None = None,
        popularity: np.ndarray | None = None,
    ) -> None:
        """Reads the catalogue's words.

        Args:
          catalogue: the items.
          config: synonyms.
          popularity: `[items]` how often each was bought; by default all are alike.
        """
        self._lexical = LexicalIndex(catalogue)
        given = (config or SearchConfig()).synonyms
        self._synonyms = {tuple(words(said)): tuple(words(meant)) for said, meant in given.items()}
        counts = np.ones(len(catalogue)) if popularity is None else np.asarray(popularity)
        self.popularity = np.maximum(counts, 0)
        self._popular = np.log1p(self.popularity).astype(np.float32)
        self._popular /= max(float(self._popular.max(initial=0)), 1.0)

    @property
    def vocabulary(self) -> Vocabulary:
        """The catalogue's words."""
        return self._lexical.vocabulary

    def find(self, query: str, k: int, allowed: np.ndarray | None = None) -> Found:
        """Finds the items that suit a question best.

        Args:
          query: what a shopper writes, of any length and in any script.
          k: how many items at most.
          allowed: `[items]` bool, which may be found; all by default.

        Returns:
          Items that have at least one of the words.
        """
        scores = self._scores(query)
        if allowed is not None:
            scores = np.where(allowed, scores, 0)
        return _best(scores, k)

    def asked(self, query: str) -> dict[str, float]:
        """The words of a question that can name an item -> how much each matters.

        Words stand in the catalogue's place of the shopper's where there are synonyms. What comes
        last before a `for` matters most: the soup of a chicken soup for winter.
        """
        said = self.said(query)
        what, purpose = _parted(said)
        asked = dict.fromkeys(purpose, _PURPOSE) | dict.fromkeys(what[:-1], _BESIDE)
        return asked | dict.fromkeys(what[-1:], 1.0)

    def said(self, text: str) -> list[str]:
        """The words of a text, in the catalogue's words where there are synonyms."""
        return replaced(words(text), self._synonyms)

    def unknown(self, query: str) -> tuple[str, ...]:
        """The words of a question that no word of the catalogue is meant by."""
        asked = dict.fromkeys(self.said(query))
        matches = self._lexical.vocabulary.matches
        return tuple(word for word in asked if word not in COMMON and not matches(word))

    def having(self, phrase: str) -> np.ndarray:
        """Which items have all words of a phrase in name or categories: `[items]` bool."""
        has = [self._lexical.having(word, SURE) for word in self.said(phrase)]
        return np.logical_and.reduce(has) if has else np.zeros(len(self._popular), bool)

    def meanings(self, word: str) -> dict[str, float]:
        """What a word may mean: word of the catalogue -> how sure that is."""
        vocabulary = self._lexical.vocabulary
        return {vocabulary[place]: sure for place, sure in vocabulary.matches(word)}

    def _scores(self, query: str) -> np.ndarray:
        asked = self.asked(query)
        matches = self._lexical.vocabulary.matches
        if not any(matches(word) for word in asked if not word.isdigit()):
            asked = {}  # a number alone names no item
        scores = self._lexical.scores(asked)
        return np.where(scores > 0, scores + _POPULAR * self._popular, 0).astype(np.float32)


def _parted(said: Sequence[str]) -> tuple[list[str], list[str]]:
    """Words that may name an item: those of what is asked for, and those of what it is for."""
    place = said.index(_FOR) if _FOR in said else len(said)
    what = [word for word in said[:place] if word not in COMMON][:_MOST_WORDS]
    purpose = [word for word in said[place:] if word not in COMMON][:_MOST_WORDS]
    return (what, purpose) if what else (purpose, [])


def _best(scores: np.ndarray, k: int) -> Found:
    rows = np.flatnonzero(scores)
    if len(rows) > k:
        rows = rows[np.argpartition(-scores[rows], k - 1)[:k]]
    rows = rows[np.lexsort((rows, -scores[rows]))]
    return Found(rows.astype(np.int64), scores[rows].astype(np.float32))
