"""What a shopper had done before a moment, for many moments at once."""

import numpy as np


def earlier_events(
    users: np.ndarray, times: np.ndarray, last: int
) -> tuple[np.ndarray, np.ndarray]:
    """Finds, for every event, the shopper's most recent events strictly before its time.

    Events of one shopper at one time (a basket) do not see each other.

    Args:
      users: `[events]`, the shoppers; each one's events stand together.
      times: `[events]`, ascending within a shopper.
      last: how many earlier events to keep at the most.

    Returns:
      starts: `[events]` int64, the first of the earlier events.
      ends: `[events]` int64, just behind the last of them; equal to `starts` where there is none.
    """
    new_user = np.r_[True, users[1:] != users[:-1]][: len(users)]
    new_basket = new_user | np.r_[True, times[1:] != times[:-1]][: len(users)]
    rows = np.arange(len(users))
    ends = np.maximum.accumulate(np.where(new_basket, rows, 0))
    user_starts = np.maximum.accumulate(np.where(new_user, rows, 0))
    return np.maximum(user_starts, ends - last), ends


def earlier_among(
    chosen: np.ndarray, starts: np.ndarray, ends: np.ndarray, last: int
) -> tuple[np.ndarray, np.ndarray]:
    """Narrows ranges of earlier events to some of the events, such as those of one type.

    Args:
      chosen: `[events]` bool, the events to keep.
      starts: `[n]` first event of each range.
      ends: `[n]` just behind its last event.
      last: how many of the chosen events to keep of each range, the latest.

    Returns:
      starts and ends: `[n]` int64, ranges of the chosen events, counted among themselves.
    """
    before = np.r_[0, np.cumsum(chosen)]
    return np.maximum(before[starts], before[ends] - last), before[ends]


def expand(starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lists the members of many ranges.

    Args:
      starts: `[n]` first members.
      ends: `[n]` just behind the last members.

    Returns:
      members: `[sum of lengths]` int64, the ranges one after another.
      offsets: `[n + 1]` int64, where each range begins in `members`.
    """
    lengths = ends - starts
    offsets = np.r_[0, np.cumsum(lengths)]
    members = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], lengths)
    return members, offsets
