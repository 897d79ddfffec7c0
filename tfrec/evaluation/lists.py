"""What a ranker recommends to many shoppers, and what of it is right."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Lists:
    """One list of recommendations for each shopper.

    Attributes:
      items: `[shoppers, k]` int32 catalogue rows, best first; -1 fills up a short list.
      hits: `[shoppers, k]` bool, whether the item in a place is relevant.
      wanted: pairs (shopper's place, catalogue row) of what is relevant, each once.
    """

    items: np.ndarray
    hits: np.ndarray
    wanted: tuple[np.ndarray, np.ndarray]

    @property
    def relevant(self) -> np.ndarray:
        """How many items are relevant: `[shoppers]` int64."""
        return np.bincount(self.wanted[0], minlength=len(self.items))

    def only_items(self, chosen: np.ndarray) -> "Lists":
        """The same lists where only some items, `[items]` bool, count as relevant."""
        shoppers, items = self.wanted
        hits = self.hits & chosen[self.items]
        return Lists(self.items, hits, (shoppers[chosen[items]], items[chosen[items]]))

    def only_shoppers(self, chosen: np.ndarray) -> "Lists":
        """The lists of some shoppers, `[shoppers]` bool."""
        shoppers, items = self.wanted
        kept = chosen[shoppers]
        places = np.cumsum(chosen) - 1
        return Lists(self.items[chosen], self.hits[chosen], (places[shoppers[kept]], items[kept]))

    @classmethod
    def join(cls, parts: "Sequence[Lists]") -> "Lists":
        """Puts the lists of several batches of shoppers one after the other."""
        starts = np.cumsum([0, *(len(part.items) for part in parts)])
        shoppers = [part.wanted[0] + start for part, start in zip(parts, starts, strict=False)]
        return cls(
            np.concatenate([part.items for part in parts]),
            np.concatenate([part.hits for part in parts]),
            (np.concatenate(shoppers), np.concatenate([part.wanted[1] for part in parts])),
        )
