"""How long ago and how often before: what was known of a shopper when an event came.

Every measure looks at events strictly before an event's time, so a basket does not see itself.
The measures are of all the shopper's events; `among_same` narrows them to the events with the same
item, category or other value:

    among_same(items, events_before, users, times)       # how often this item was bought before
    among_same(items, seconds_since_last, users, times)  # how long ago
"""

from collections.abc import Callable

import numpy as np

from tfrec.data.history import earlier_events

Measure = Callable[[np.ndarray, np.ndarray], np.ndarray]


def seconds_since_last(users: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Time since the shopper's latest earlier event.

    Args:
      users: `[events]`, the shoppers; each one's events stand together.
      times: `[events]` seconds, ascending within a shopper.

    Returns:
      `[events]` float64 seconds; NaN where no event came before.
    """
    starts, ends = earlier_events(users, times, last=1)
    return np.where(starts < ends, times - times[starts], np.nan)


def events_before(users: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Number of the shopper's earlier events.

    Args:
      users: `[events]`, the shoppers; each one's events stand together.
      times: `[events]` seconds, ascending within a shopper.

    Returns:
      `[events]` int64.
    """
    starts, ends = earlier_events(users, times, last=len(users))
    return ends - starts


def baskets_before(users: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Number of the distinct times of the shopper's earlier events.

    Args:
      users: `[events]`, the shoppers; each one's events stand together.
      times: `[events]` seconds, ascending within a shopper.

    Returns:
      `[events]` int64.
    """
    user_starts, basket_starts = earlier_events(users, times, last=len(users))
    baskets = np.cumsum(basket_starts == np.arange(len(users)))
    return baskets - baskets[user_starts]


def among_same(
    values: np.ndarray, measure: Measure, users: np.ndarray, times: np.ndarray
) -> np.ndarray:
    """A measure of only those events of the shopper that have the event's own value.

    Args:
      values: `[events]` whole numbers from 0 on, such as item rows or category codes.
      measure: one of the functions above.
      users: `[events]`, the shoppers as whole numbers from 0 on.
      times: `[events]` seconds, ascending within a shopper.

    Returns:
      `[events]`, as the measure gives it.
    """
    pairs = users.astype(np.int64) * (values.max(initial=0) + 1) + values
    order = np.argsort(pairs, kind="stable")
    measured = measure(pairs[order], times[order])
    result = np.empty_like(measured)
    result[order] = measured
    return result
