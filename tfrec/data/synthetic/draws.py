"""Random draws, each a function of the shop's seed and of what is drawn."""

from enum import IntEnum

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

DAY_SECONDS = 86_400


class Stream(IntEnum):
    """What is drawn; each has random numbers of its own, so that one does not shift another."""

    ITEMS = 0
    USERS = 1
    PROMOTIONS = 2
    EVENTS = 3


def generator(seed: int, stream: Stream, *numbers: int) -> np.random.Generator:
    """Makes the random numbers of one stream, and within it e.g. of one day."""
    return np.random.default_rng([seed, stream, *numbers])


class WeightedDraw:
    """Draws rows with chances proportional to their weights."""

    def __init__(self, weights: np.ndarray) -> None:
        """Takes `[rows]` weights, of which some may be 0."""
        self._cumulative = np.r_[0.0, np.cumsum(weights)]

    def __call__(
        self, random: np.random.Generator, first: np.ndarray, end: np.ndarray
    ) -> np.ndarray:
        """Draws one row out of each of many ranges of rows.

        Args:
          random: the source of randomness.
          first: `[n]` first row of each range.
          end: `[n]` just behind its last row; the range holds a weight above 0.

        Returns:
          `[n]` int64 rows.
        """
        low, high = self._cumulative[first], self._cumulative[end]
        drawn = low + (high - low) * random.random(len(low))
        # Rounding may reach `high`, which belongs to the next range.
        drawn = np.minimum(drawn, np.nextafter(high, low))
        return np.searchsorted(self._cumulative, drawn, side="right") - 1


def named(prefix: str, numbers: np.ndarray, digits: int) -> pa.Array:
    """Makes names such as `u0000012`: `[n]` strings."""
    text = pc.utf8_lpad(pa.array(numbers).cast(pa.string()), digits, "0")
    return pc.binary_join_element_wise(prefix, text, "")


def moments(seconds: np.ndarray) -> pa.Array:
    """Makes timestamps of `[n]` int64 seconds since 1970."""
    return pa.array(seconds, pa.timestamp("s"))
