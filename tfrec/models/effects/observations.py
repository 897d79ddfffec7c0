"""Who was treated, what was known of them before, and what came of it."""

from dataclasses import dataclass, fields

import numpy as np


@dataclass(frozen=True)
class Observations:
    """Shoppers beside treatments that they may have been given; arrays are by row.

    Attributes:
      features: `[rows, features]` float64 known before the treatment; NaN where unknown.
      treated: `[rows]` bool.
      outcomes: `[rows]` float64.
      shoppers: `[rows]` int64 numbers; what one shopper does is not independent.
      treatments: `[rows]` int64 numbers of at most 255 treatments, such as campaigns: which it is
        that a row may have been given. Each is given for reasons of its own.
    """

    features: np.ndarray
    treated: np.ndarray
    outcomes: np.ndarray
    shoppers: np.ndarray
    treatments: np.ndarray

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.treated)

    def only(self, rows: np.ndarray) -> "Observations":
        """Some of the rows, given as `[rows]` bool or as places."""
        return Observations(*(getattr(self, field.name)[rows] for field in fields(self)))
