"""What a conversation asks for, in the catalogue's terms."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tfrec.data.catalogue import Catalogue
from tfrec.service.api import Filters, Understood
from tfrec.service.assortment import PRICE, Assortment
from tfrec.service.guide.categories import Categories
from tfrec.service.guide.config import GuideConfig
from tfrec.service.guide.conversation import Conversation
from tfrec.service.guide.exclusions import Excluded, Exclusions
from tfrec.service.search.search import Search
from tfrec.service.search.words import COMMON, words

_FOR = re.compile(r"\bfor\b")
_AND = re.compile(r"\b(?:and|or|plus)\b|[,&+]")
_MOST_VALUES = 100
_LONGEST_VALUE = 256
_MOST_EXCLUDED = 900
_CHEAP_SHARE = 1 / 3
_EXACT, _GUESSED, _KNOWN_SHARE = 0.9, 0.5, 0.4


@dataclass(frozen=True)
class Meaning:
    """What a conversation asks for.

    Attributes:
      understood: the words to search by and the constraints.
      excluded: what of the catalogue is left out.
      excluded_rows: `[n]` catalogue rows of excluded items that no condition covers.
      brands: values of brands that are asked for.
      findable: whether the words find anything; otherwise there is nothing to search by.
      no_prices: whether a price is asked for and none is known.
    """

    understood: Understood
    excluded: Excluded
    excluded_rows: np.ndarray
    brands: tuple[str, ...]
    findable: bool
    no_prices: bool


class Interpreter:
    """Finds what a shopper's words mean in the catalogue."""

    def __init__(
        self,
        catalogue: Catalogue,
        search: Search,
        assortment: Callable[[], Assortment],
        config: GuideConfig,
    ) -> None:
        """Reads the catalogue's categories.

        Args:
          catalogue: the items.
          search: knows their words.
          assortment: gives prices and flags as they are now.
          config: the `guide` section.
        """
        self._catalogue, self._search = catalogue, search
        self._assortment, self._config = assortment, config
        self.categories = Categories(catalogue, search)
        self._exclusions = Exclusions(self.categories, search, config.families)

    def free(self) -> frozenset[str]:
        """Words that are left out where somebody asks for what is free of them."""
        return self._exclusions.free(self._assortment().flags)

    def is_findable(self, about: str) -> bool:
        """Whether the catalogue knows enough of the words; one it has to guess counts half."""
        asked = self._search.asked(about)
        known = total = 0.0
        for word, matters in asked.items():
            if not word.isdigit():
                best = max(self._search.meanings(word).values(), default=0.0)
                known += matters * (1.0 if best >= _EXACT else _GUESSED if best else 0.0)
                total += matters
        return known > 0 and known >= _KNOWN_SHARE * total

    def find(self, conversation: Conversation) -> Meaning:
        """Finds what a conversation asks for."""
        about, only = self._subject(conversation)
        findable = self.is_findable(about)
        if about and not findable:
            only = {name: values for name, values in only.items() if name in self._config.brands}
        flags = self._assortment().flags
        excluded = self._exclusions.find(
            conversation.excluded, flags, _MOST_VALUES, len(self._catalogue)
        )
        prices = self._prices()
        least, most = conversation.bounds
        if conversation.cheap and prices is not None:
            most = self._cheap(prices, only) if most is None else most
        filters = Filters(
            only=only,
            without={name: tuple(values) for name, values in excluded.without.items()},
            least={} if least is None or prices is None else {PRICE: least},
            most={} if most is None or prices is None else {PRICE: most},
            flags=tuple(excluded.flags),
        )
        unknown = (*self._search.unknown(about), *excluded.unknown)
        return Meaning(
            Understood(
                about=about,
                filters=filters,
                quantity=conversation.quantity,
                not_understood=unknown,
            ),
            excluded,
            self._uncovered(about, excluded),
            tuple(value for brand in self._config.brands for value in only.get(brand, ())),
            findable,
            prices is None and (conversation.cheap or least is not None or most is not None),
        )

    def _subject(self, conversation: Conversation) -> tuple[str, dict[str, tuple[str, ...]]]:
        """The words to search by, and the categories and brands that they name."""
        chunks = self._things(conversation.subject)
        only: dict[str, tuple[str, ...]] = {}
        taken: set[str] = set()
        for brand in self._config.brands:
            for place, chunk in enumerate(chunks):
                if found := self.categories.whole(brand, chunk):
                    value, (start, end) = found
                    only[brand] = (*only.get(brand, ()), value)
                    rest = [*chunk[:start], *chunk[end:]]
                    taken |= {*chunk[start:end], *words(brand)}
                    chunks[place] = [word for word in rest if word not in words(brand)]
        written = map(self.categories.exactly, conversation.categories)
        exact = [found for found in written if found is not None]
        if exact:
            for name, value in exact:
                only[name] = (*only.get(name, ()), value)
        else:
            only |= self.categories.subject([chunk for chunk in chunks if chunk])
        kept = {
            name: tuple(value for value in dict.fromkeys(values) if len(value) <= _LONGEST_VALUE)
            for name, values in only.items()
        }
        return _without(conversation.subject, taken), {n: v for n, v in kept.items() if v}

    def _things(self, subject: str) -> list[list[str]]:
        """The things that a subject lists, without what they are for: words of each."""
        chunks = []
        for part in subject.split(" ; "):
            for thing in _AND.split(_FOR.split(part)[0]):
                chunks.append([word for word in self._search.said(thing) if word not in COMMON])
        return [chunk for chunk in chunks if chunk]

    def _prices(self) -> np.ndarray | None:
        """`[items]` prices, of the assortment or else of the catalogue; None where none is known.

        The service filters by the assortment's where both are known.
        """
        prices = self._assortment().numbers.get(PRICE)
        if prices is None and PRICE in self._catalogue.table.column_names:
            column = self._catalogue.table[PRICE].combine_chunks()
            if pa.types.is_floating(column.type) or pa.types.is_integer(column.type):
                prices = column.to_numpy(zero_copy_only=False).astype(np.float64)
        return None if prices is None or not np.isfinite(prices).any() else prices

    def _cheap(self, prices: np.ndarray, only: dict[str, tuple[str, ...]]) -> float | None:
        """The price below which a third of a category is."""
        of_category = prices[self.categories.rows(only) & np.isfinite(prices)]
        return round(float(np.quantile(of_category, _CHEAP_SHARE)), 2) if len(of_category) else None

    def _uncovered(self, about: str, excluded: Excluded) -> np.ndarray:
        """Excluded items that no condition leaves out, those that would be found first."""
        left = excluded.items.copy()
        for name, values in excluded.without.items():
            left &= ~self.categories.rows({name: tuple(values)})
        if not left.any():
            return np.empty(0, np.int64)
        found = self._search.find(about, _MOST_EXCLUDED, left).rows if about else left.nonzero()[0]
        return found[:_MOST_EXCLUDED]


def _without(subject: str, taken: Sequence[str] | set[str]) -> str:
    """A subject without the words that are constraints."""
    kept = [token for token in subject.split() if not taken or not set(words(token)) & set(taken)]
    return " ".join(kept)
