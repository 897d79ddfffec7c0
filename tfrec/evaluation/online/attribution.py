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
    rows = rows[np.lexsort([log.items[rows], log.users[rows]])]  # stable: still in order of time
    is_cause = causes[rows]
    users, items, times = log.users[rows], log.items[rows], log.times[rows]
    last = np.maximum.accumulate(np.where(is_cause, np.arange(len(rows)), -1))
    waited = times - times[last]
    same = (last >= 0) & (users[last] == users) & (items[last] == items)
    credited = np.flatnonzero(~is_cause & same & (waited <= within))
    first = np.full(len(log), np.inf)
    np.minimum.at(first, rows[last[credited]], waited[credited])
    return first[causes]
