"""What of the catalogue a shopper does not want."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tfrec.service.guide.categories import Categories
from tfrec.service.search.search import Search
from tfrec.service.search.words import words


@dataclass
class Excluded:
    """What of the catalogue is left out.

    Attributes:
      flags: what must not be true of an item.
      without: feature -> values of which an item must have none.
      items: `[items]` bool, those that one of the words names otherwise.
      unknown: phrases that name nothing of the catalogue.
      by_label: phrases for which only names and categories could be looked at.
    """

    items: np.ndarray
    flags: list[str] = field(default_factory=list)
    without: dict[str, list[str]] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    by_label: list[str] = field(default_factory=list)


class Exclusions:
    """Finds what is not wanted: by flags first, then by categories, then by words of names."""

    def __init__(
        self, categories: Categories, search: Search, families: Mapping[str, Sequence[str]]
    ) -> None:
        """Takes the catalogue's words, and what shoppers' words cover besides themselves."""
        self._categories, self._search = categories, search
        self._families = {tuple(words(name)): tuple(covers) for name, covers in families.items()}

    def free(self, flags: Collection[str]) -> frozenset[str]:
        """Words that are left out where somebody asks for what is free of them."""
        named = [word for flag in flags for word in words(flag.replace("_", " "))]
        return frozenset(named) | {name[0] for name in self._families if len(name) == 1}

    def find(
        self, phrases: Sequence[str], flags: Collection[str], most_values: int, items: int
    ) -> Excluded:
        """Finds what phrases name.

        Args:
          phrases: what is not wanted.
          flags: what the shop knows to be true of items or not.
          most_values: that one feature's condition takes.
          items: how many the catalogue has.

        Returns:
          What to leave out.
        """
        found = Excluded(np.zeros(items, bool))
        for phrase in phrases:
            flagged = [flag for flag in flags if _says(flag, phrase)]
            if flagged:
                found.flags += [flag for flag in flagged if flag not in found.flags]
            elif self._leave_out(phrase, found, most_values):
                found.by_label.append(phrase)
            else:
                found.unknown.append(phrase)
        return found

    def _leave_out(self, phrase: str, found: Excluded, most_values: int) -> bool:
        named = False
        for term in (phrase, *self._families.get(tuple(words(phrase)), ())):
            having = self._search.having(term)
            if not having.any() and len(words(term)) > 1 and term == phrase:
                # Of `milk products` the catalogue may know the first word alone.
                term = " ".join(words(term)[:1])
                having = self._search.having(term)
            named |= bool(having.any())
            found.items |= having
            for feature, values in self._categories.named(term).items():
                kept = found.without.setdefault(feature, [])
                kept += [value for value in values if value not in kept]
                del kept[most_values:]
        return named


def _says(flag: str, phrase: str) -> bool:
    """Whether a flag, such as `contains_nuts`, has the words of a phrase."""
    asked = words(phrase)
    return bool(asked) and set(asked) <= set(words(flag.replace("_", " ")))
