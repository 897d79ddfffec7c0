"""What each part of the split holds."""

from dataclasses import dataclass

import numpy as np

from tfrec.data.shard import Shard
from tfrec.data.splits import EXAMPLE_PARTS, PARTS, TRAIN

_TRAIN = PARTS.index(TRAIN)


@dataclass(frozen=True)
class PartSize:
    """What a part holds; but for `events`, only its events that count as examples.

    Attributes:
      name: of the part.
      events: number of events of every type and weight.
      examples: number of events that count.
      shoppers: number of shoppers.
      new_shoppers: those of them that training has no example of.
      items: number of items.
      new_items: those of them that training has no example of.
      on_new_items: number of examples of these.
      first: time of the first example, in seconds since 1970; none without one.
      last: time of the last one.
    """

    name: str
    events: int
    examples: int
    shoppers: int
    new_shoppers: int
    items: int
    new_items: int
    on_new_items: int
    first: int | None
    last: int | None


class PartSizes:
    """Counts what the parts hold.

    Attributes:
      item_counts: `[parts, items]` int64, each item's examples.
      shoppers: number of shoppers in all parts together.
    """

    def __init__(self, items: int) -> None:
        """Takes the number of items in the catalogue."""
        self.item_counts = np.zeros([len(PARTS), items], np.int64)
        self.shoppers = 0
        self._events = np.zeros(len(PARTS), np.int64)
        self._shoppers, self._new_shoppers = np.zeros([2, len(PARTS)], np.int64)
        self._first = np.full(len(PARTS), np.iinfo(np.int64).max)
        self._last = np.full(len(PARTS), np.iinfo(np.int64).min)

    def add(self, shard: Shard) -> None:
        """Counts a shard's events; its shoppers are in no other one."""
        self._events += np.bincount(shard.parts, minlength=len(PARTS))
        self.shoppers += len(shard.user_starts)
        here = np.zeros([len(PARTS), shard.numbers.max(initial=-1) + 1], bool)
        for number, part in enumerate(PARTS):
            rows = shard.of_part(part)
            here[number, shard.numbers[rows]] = True
            self.item_counts[number] += np.bincount(
                shard.item_rows[rows], minlength=self.item_counts.shape[1]
            )
            times = shard.times[rows]
            self._first[number] = times.min(initial=self._first[number])
            self._last[number] = times.max(initial=self._last[number])
        self._shoppers += here.sum(axis=1)
        self._new_shoppers += (here & ~here[_TRAIN]).sum(axis=1)

    @property
    def sizes(self) -> list[PartSize]:
        """The parts; the last one only where the split has such events."""
        shown = len(PARTS) if self._events[len(EXAMPLE_PARTS) :].any() else len(EXAMPLE_PARTS)
        return [self._size(number) for number in range(shown)]

    @property
    def events(self) -> int:
        """All events."""
        return int(self._events.sum())

    def _size(self, part: int) -> PartSize:
        counts = self.item_counts[part]
        new = self.item_counts[_TRAIN] == 0
        examples = int(counts.sum())
        return PartSize(
            name=PARTS[part],
            events=int(self._events[part]),
            examples=examples,
            shoppers=int(self._shoppers[part]),
            new_shoppers=int(self._new_shoppers[part]),
            items=int((counts > 0).sum()),
            new_items=int((new & (counts > 0)).sum()),
            on_new_items=int(counts[new].sum()),
            first=int(self._first[part]) if examples else None,
            last=int(self._last[part]) if examples else None,
        )
