"""How much shoppers do: histories, baskets and sessions."""

import numpy as np

from tfrec.data.sessions import session_starts
from tfrec.data.shard import Shard


class Lengths:
    """How often each length occurs, of which there are too many to keep one by one."""

    def __init__(self) -> None:
        """Begins with none."""
        self.counts = np.zeros(1, np.int64)
        """`[longest + 1]` int64: how many have the length that is their place."""

    def add(self, lengths: np.ndarray) -> None:
        """Counts some lengths, `[n]` whole numbers from 1 on."""
        more = np.bincount(lengths, minlength=len(self.counts))
        more[: len(self.counts)] += self.counts
        self.counts = more

    @property
    def total(self) -> int:
        """How many lengths there are."""
        return int(self.counts.sum())

    @property
    def mean(self) -> float:
        """The mean; NaN of none."""
        return float(self.counts @ np.arange(len(self.counts))) / (self.total or np.nan)

    @property
    def longest(self) -> int:
        """The greatest."""
        return len(self.counts) - 1

    def quantile(self, share: float) -> int:
        """The least length that at least a `share` of all do not exceed."""
        return int(np.searchsorted(np.cumsum(self.counts), share * self.total))


class ShopperLengths:
    """Histories, baskets and sessions of all shoppers.

    A basket is the events of a shopper at one moment. Histories and baskets are of the events that
    count as examples; sessions are of events of every type.

    Attributes:
      histories: events per shopper.
      baskets: baskets per shopper.
      basket_sizes: events per basket.
      sessions: events per session.
    """

    def __init__(self, session_gap: int) -> None:
        """Takes the silence in seconds that ends a session."""
        self._gap = session_gap
        self.histories, self.baskets = Lengths(), Lengths()
        self.basket_sizes, self.sessions = Lengths(), Lengths()

    def add(self, shard: Shard) -> None:
        """Counts a shard's shoppers."""
        counted = shard.weights > 0
        users, times = shard.numbers[counted], shard.times[counted]
        begins = (np.diff(users, prepend=-1) != 0) | (np.diff(times, prepend=-1) != 0)
        baskets = np.flatnonzero(begins)
        self.histories.add(_run_lengths(users))
        self.baskets.add(_run_lengths(users[baskets]))
        self.basket_sizes.add(np.diff(np.r_[baskets, len(users)]))
        self.sessions.add(_run_lengths(session_starts(shard.numbers, shard.times, self._gap)))


def _run_lengths(values: np.ndarray) -> np.ndarray:
    """Lengths of the stretches of equal values."""
    begins = np.flatnonzero(np.r_[True, values[1:] != values[:-1]][: len(values)])
    return np.diff(np.r_[begins, len(values)])
