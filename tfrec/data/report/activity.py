"""Events over time."""

from typing import NamedTuple

import numpy as np

from tfrec.data.shard import Shard

_HOUR, _DAY, _WEEK = 3600, 86_400, 604_800
_MONDAY = 4 * _DAY
"""1970 began on a Thursday."""

OTHER = "other types"
_MOST_TYPES = 5


class Series(NamedTuple):
    """The events of one type, or of all rare types together.

    Attributes:
      name: the type.
      counts: `[stretches]` int64.
    """

    name: str
    counts: np.ndarray

    @property
    def total(self) -> int:
        """All events of the type."""
        return int(self.counts.sum())


class Activity:
    """Counts events by type and stretch of time: an hour, a day or a week, by how long all is.

    Attributes:
      unit: `hour`, `day` or `week`; a week begins on Monday (UTC).
      edges: `[stretches + 1]` int64 seconds since 1970.
    """

    def __init__(self, first: int, last: int) -> None:
        """Takes the times of the first and the last event."""
        span = last - first
        if span <= 4 * _DAY:
            self.unit, self._width, offset = "hour", _HOUR, 0
        elif span <= 1100 * _DAY:
            self.unit, self._width, offset = "day", _DAY, 0
        else:
            self.unit, self._width, offset = "week", _WEEK, _MONDAY
        start = (first - offset) // self._width * self._width + offset
        stretches = (last - start) // self._width + 1
        self.edges = start + self._width * np.arange(stretches + 1)
        self._counts: dict[str, np.ndarray] = {}

    def add(self, shard: Shard) -> None:
        """Counts the events of a shard."""
        types = shard.types.dictionary_encode()
        stretches = len(self.edges) - 1
        cells = types.indices.to_numpy() * stretches
        cells = cells + (shard.times - self.edges[0]) // self._width
        counts = np.bincount(cells, minlength=len(types.dictionary) * stretches)
        for name, row in zip(
            types.dictionary.to_pylist(), counts.reshape(-1, stretches), strict=True
        ):
            self._counts[name] = self._counts.get(name, 0) + row

    @property
    def series(self) -> list[Series]:
        """The types, the commonest first; from the sixth on they are one series."""
        found = [Series(name, counts) for name, counts in self._counts.items()]
        found.sort(key=lambda series: -series.total)
        if len(found) > _MOST_TYPES + 1:
            rare = np.sum([series.counts for series in found[_MOST_TYPES:]], axis=0)
            found[_MOST_TYPES:] = [Series(OTHER, rare)]
        return found
