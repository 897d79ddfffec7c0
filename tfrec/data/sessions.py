"""Sessions: stretches of a shopper's events without a long silence between them.

Source: a silence of 30 minutes ends a session by the convention of web analytics; Halfaker et al.,
User Session Identification Based on Strong Regularities in Inter-activity Time (WWW 2015), find
gaps of about an hour in many kinds of logs.
"""

import numpy as np

from tfrec.data.history import earlier_events


def session_numbers(users: np.ndarray, times: np.ndarray, gap: int) -> np.ndarray:
    """Numbers the sessions of each shopper.

    Args:
      users: `[events]`, the shoppers; each one's events stand together.
      times: `[events]` seconds, ascending within a shopper.
      gap: a session ends when more than this many seconds pass without an event.

    Returns:
      `[events]` int64: 0 in a shopper's first session, 1 in the second, and so on.
    """
    user_starts, begins = _beginnings(users, times, gap)
    sessions = np.cumsum(begins)
    return sessions - sessions[user_starts]


def session_starts(users: np.ndarray, times: np.ndarray, gap: int) -> np.ndarray:
    """Finds the first event of each event's session, so that a history can be cut to the session.

    Args:
      users: `[events]`, the shoppers; each one's events stand together.
      times: `[events]` seconds, ascending within a shopper.
      gap: a session ends when more than this many seconds pass without an event.

    Returns:
      `[events]` int64 rows.
    """
    _, begins = _beginnings(users, times, gap)
    return np.maximum.accumulate(np.where(begins, np.arange(len(users)), 0))


def _beginnings(users: np.ndarray, times: np.ndarray, gap: int) -> tuple[np.ndarray, np.ndarray]:
    """Each shopper's first row, and whether a session begins, both `[events]`."""
    user_starts, _ = earlier_events(users, times, last=len(users))
    silences = np.diff(times, prepend=times[:1])
    return user_starts, (user_starts == np.arange(len(users))) | (silences > gap)
