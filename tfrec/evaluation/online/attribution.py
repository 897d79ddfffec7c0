"""Which click an order is credited to, and which impression a click."""

import numpy as np

from tfrec.evaluation.online.event_log import EventLog


def delays(log: EventLog, causes: np.ndarray, effects: np.ndarray, within: int) -> np.ndarray:
    """How long after each cause its first effect came.

    An effect is credited to the last cause of the same shopper and item before it, if that is at
    most `within` seconds ago, and to nothing otherwise.

    Args:
      log: the events.
      causes: `[events]` bool, e.g. clicks.
      effects: `[events]` bool, e.g. orders; none is a cause.
      within: the attribution window in seconds.

    Returns:
      `[causes]` float64 seconds; infinite for a cause without an effect.
    """
    rows = np.flatnonzero(causes | effects)
    users, items, times = log.users[rows], log.items[rows], log.times[rows]
    waited = np.full(len(log), np.inf)
    waited[rows] = waits(users, items, times, causes[rows], within)
    return waited[causes]


def waits(
    users: np.ndarray, items: np.ndarray, times: np.ndarray, is_cause: np.ndarray, within: int
) -> np.ndarray:
    """How long after each cause its first effect came, as `delays` credits it.

    Args:
      users: `[events]` int64; those of one user and item are in order of time.
      items: `[events]` int64.
      times: `[events]` int64 seconds.
      is_cause: `[events]` bool; all others are effects.
      within: the attribution window in seconds.

    Returns:
      `[events]` float64 seconds; infinite for a cause without an effect, and for effects.
    """
    rows = np.lexsort([items, users])  # stable: still in order of time
    is_cause, users, items, times = is_cause[rows], users[rows], items[rows], times[rows]
    last = np.maximum.accumulate(np.where(is_cause, np.arange(len(rows)), -1))
    waited = times - times[last]
    same = (last >= 0) & (users[last] == users) & (items[last] == items)
    credited = np.flatnonzero(~is_cause & same & (waited <= within))
    first = np.full(len(rows), np.inf)
    np.minimum.at(first, rows[last[credited]], waited[credited])
    return first
