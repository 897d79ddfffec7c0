"""Shoppers whose events come faster than a person's could."""

import numpy as np


def robots(users: np.ndarray, times: np.ndarray, limit: int, window: int) -> np.ndarray:
    """Marks every event of a shopper who was once too fast.

    The window slides: it is laid at every event, and events exactly `window` seconds apart fall
    into one window.

    Args:
      users: `[events]`, the shoppers; each one's events stand together.
      times: `[events]` seconds, ascending within a shopper.
      limit: the most events that a person makes in any window, at least 1.
      window: its length in seconds.

    Returns:
      `[events]` bool.
    """
    same_user = users[limit:] == users[:-limit]
    too_fast = same_user & (times[limit:] - times[:-limit] <= window)
    return np.isin(users, users[limit:][too_fast])
