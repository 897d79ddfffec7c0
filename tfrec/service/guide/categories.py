"""The catalogue's categories, and which of them words name."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfrec.data.catalogue import Catalogue
from tfrec.service.search.lexical import is_worded
from tfrec.service.search.search import SURE, Search
from tfrec.service.search.words import words

Values = Mapping[str, tuple[str, ...]]
"""Feature -> some of its values."""

_MOST_VALUES = 5000
_MOST_NAMED = 100
_MOST_LISTED = 1000
_LONGEST_PHRASE = 4


class _Feature(NamedTuple):
    """One feature's values.

    Attributes:
      values: distinct ones.
      said: their words.
      items: how many items have each.
      bought: how often items of each were bought.
      holding: word -> places of the values that have it.
    """

    values: list[str]
    said: list[tuple[str, ...]]
    items: np.ndarray
    bought: np.ndarray
    holding: dict[str, set[int]]


class Categories:
    """Finds the values of the catalogue's features that words name.

    A value is named by a phrase whose words it has in their order, where abbreviations and errors
    of typing count as `Search` takes them. Of several features that one counts whose named values
    have most items.
    """

    def __init__(self, catalogue: Catalogue, search: Search) -> None:
        """Reads the values of all features that hold words and have not too many of them."""
        self._search, self._catalogue = search, catalogue
        self._features: dict[str, _Feature] = {}
        table = catalogue.table
        for name in table.column_names:
            column = table[name].combine_chunks()
            if not name.startswith("_") and is_worded(column):
                made = _feature(column, search.popularity)
                if len(made.values) <= _MOST_VALUES:
                    self._features[name] = made

    @property
    def names(self) -> frozenset[str]:
        """The features."""
        return frozenset(self._features)

    def has(self, feature: str, value: str) -> bool:
        """Whether a feature has a value."""
        return feature in self._features and value in self._features[feature].values

    def largest(self, count: int) -> list[str]:
        """Values that were bought most, of the feature with the most values but a thousand."""
        small = [found for found in self._features.values() if len(found.values) <= _MOST_LISTED]
        if not small:
            return []
        feature = max(small, key=lambda found: len(found.values))
        order = np.argsort(-feature.bought, kind="stable")[:count]
        return [feature.values[place] for place in order]

    def named(self, phrase: str) -> dict[str, tuple[str, ...]]:
        """The values of each feature that have all words of a phrase, in their order."""
        return {
            name: tuple(feature.values[place] for place in places)
            for name, feature in self._features.items()
            if (places := self._places(feature, self._search.said(phrase)))
        }

    def exactly(self, text: str) -> tuple[str, str] | None:
        """The feature and the value that a text writes out, in any case; None if none does."""
        asked = text.strip().casefold()
        for name, feature in self._features.items():
            for value in feature.values:
                if value.casefold() == asked:
                    return name, value
        return None

    def rows(self, only: Values) -> np.ndarray:
        """Which items have one of the values of each feature: `[items]` bool; lists do not tell."""
        kept = np.ones(len(self._catalogue), bool)
        for name, values in only.items():
            column = self._catalogue.table[name].combine_chunks()
            if not pa.types.is_list(column.type):
                kept &= pc.is_in(column, value_set=pa.array(values)).to_numpy(zero_copy_only=False)
        return kept

    def subject(self, chunks: Sequence[Sequence[str]]) -> dict[str, tuple[str, ...]]:
        """The category that a sentence is about.

        Args:
          chunks: words of each of the things that it lists.

        Returns:
          One feature and its named values; nothing where no feature has a value for each thing.
        """
        if not chunks:
            return {}
        of_chunks = [self._head(chunk) for chunk in chunks]
        shared = [name for name in self._features if all(name in found for found in of_chunks)]
        if not shared:
            return {}
        unions = {name: set().union(*(found[name] for found in of_chunks)) for name in shared}
        best = max(shared, key=lambda name: self._features[name].items[list(unions[name])].sum())
        return {best: self._most(best, unions[best])}

    def whole(self, feature: str, said: Sequence[str]) -> tuple[str, tuple[int, int]] | None:
        """A value that words write out whole, and from which word to which."""
        made = self._features.get(feature)
        if made is None:
            return None
        for start, length in _spans(len(said)):
            phrase = said[start : start + length]
            for place in self._places(made, phrase):
                if len(made.said[place]) == length:
                    return made.values[place], (start, start + length)
        return None

    def _head(self, chunk: Sequence[str]) -> dict[str, set[int]]:
        """Values named by the longest phrase of a chunk; of equally long ones the last counts."""
        for start, length in _spans(len(chunk)):
            phrase = chunk[start : start + length]
            found = {
                name: set(places)
                for name, feature in self._features.items()
                if (places := self._places(feature, phrase))
            }
            if found:
                return found
        return {}

    def _places(self, feature: _Feature, phrase: Sequence[str]) -> list[int]:
        meant = [
            [word for word, sure in self._search.meanings(word).items() if sure >= SURE]
            for word in phrase
        ]
        if not meant or not all(meant):
            return []
        sets = [set().union(*(feature.holding.get(word, ()) for word in each)) for each in meant]
        places = set.intersection(*sets)
        if len(phrase) > 1:
            places = {place for place in places if _in_order(feature.said[place], meant)}
        return sorted(places)

    def _most(self, feature: str, places: Iterable[int]) -> tuple[str, ...]:
        """The values with most items, as many as a filter takes."""
        made = self._features[feature]
        order = sorted(places, key=lambda place: (-made.items[place], place))[:_MOST_NAMED]
        return tuple(made.values[place] for place in order)


def _feature(column: pa.Array, popularity: np.ndarray) -> _Feature:
    if pa.types.is_list(column.type):
        popularity = np.repeat(popularity, pc.list_value_length(column).fill_null(0).to_numpy())
        column = column.flatten()
    coded = column.dictionary_encode()
    codes = coded.indices.fill_null(-1).to_numpy() + 1
    values = coded.dictionary.to_pylist()
    said = [tuple(words(value)) for value in values]
    holding: dict[str, set[int]] = {}
    for place, of_value in enumerate(said):
        for word in of_value:
            holding.setdefault(word, set()).add(place)
    size = len(values) + 1
    bought = np.bincount(codes, popularity, size)[1:]
    return _Feature(values, said, np.bincount(codes, minlength=size)[1:], bought, holding)


def _spans(length: int) -> list[tuple[int, int]]:
    """Starts and lengths of phrases: long before short, late before early."""
    longest = min(length, _LONGEST_PHRASE)
    return [
        (start, size) for size in range(longest, 0, -1) for start in range(length - size, -1, -1)
    ]


def _in_order(said: Sequence[str], meant: Sequence[Sequence[str]]) -> bool:
    """Whether a value has a word for each of the phrase's, one behind the other."""
    first = [[place for place, word in enumerate(said) if word in each] for each in meant]
    return any(list(places) == sorted(set(places)) for places in product(*first))
