"""Rows with a label, for models that rank: impressions with what became of them, and negatives."""

import numpy as np

from tfrec.data.sessions import session_starts

_LONGEST_LIST = 100  # some losses take memory by the square of a list's length
_WEIGHT = 1 << 40  # what the whole numbers that stand for popularity add up to, about


def impression_labels(
    users: np.ndarray,
    times: np.ndarray,
    items: np.ndarray,
    is_impression: np.ndarray,
    is_positive: np.ndarray,
    within: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Labels each impression with whether the shopper then took the item.

    Args:
      users: `[events]`, the shoppers as whole numbers from 0 on.
      times: `[events]` int64 seconds.
      items: `[events]` int64 item rows.
      is_impression: `[events]` bool, events in which the item was shown.
      is_positive: `[events]` bool, events that count as success, such as clicks or purchases.
      within: how many seconds after the impression a success may come; one at the same second
        counts.

    Returns:
      rows: `[impressions]` int64, their rows among the events, ascending.
      labels: `[impressions]` int64, 1 if the same shopper had a success with the item, else 0.
    """
    pairs = users.astype(np.int64) * (items.max(initial=0) + 1) + items
    _, pairs = np.unique(pairs, return_inverse=True)
    seconds = times - times.min(initial=np.iinfo(np.int64).max)
    span = seconds.max(initial=0) + 1
    moments = pairs * span + seconds  # ordered by pair and then time
    successes = np.sort(moments[is_positive])
    rows = np.flatnonzero(is_impression)
    last = pairs[rows] * span + np.minimum(seconds[rows] + within, span - 1)
    before = np.searchsorted(successes, moments[rows], "left")
    labels = np.searchsorted(successes, last, "right") > before
    return rows, labels.astype(np.int64)


def impression_lists(
    users: np.ndarray, times: np.ndarray, impressions: np.ndarray, gap: int
) -> np.ndarray:
    """Divides impressions into lists whose items are compared with each other.

    A list is of one session of one shopper. Sessions of more than 100 impressions make several.

    Args:
      users: `[events]`, the shoppers; each one's events stand together.
      times: `[events]` seconds, ascending within a shopper.
      impressions: `[impressions]` rows of the events in which an item was shown, ascending.
      gap: a session ends when more than this many seconds pass without an event.

    Returns:
      `[impressions]` int64: a number for each list, ascending.
    """
    sessions = session_starts(users, times, gap)[impressions]
    within = np.arange(len(impressions)) - np.searchsorted(sessions, sessions)
    begins = within % _LONGEST_LIST == 0
    return np.cumsum(begins) - 1


def sample_negatives(
    users: np.ndarray,
    items: np.ndarray,
    positives: np.ndarray,
    n_items: int,
    per_positive: int,
    popularity: np.ndarray | None = None,
    seed: int = 0,
) -> np.ndarray:
    """Draws items that the shopper of a positive event touched in none of the events.

    Nothing is drawn and then rejected: a shopper's untouched items, laid end to end, each as long
    as its weight, make a line, and a negative is the item at a random point of it. So a shopper
    who touched nearly everything costs no more than others. Items are drawn with replacement.

    Args:
      users: `[events]`, the shoppers as whole numbers from 0 on, below 2**22.
      items: `[events]` int64 item rows.
      positives: `[positives]` rows of the events that need negatives.
      n_items: rows of the catalogue.
      per_positive: negatives of each positive event.
      popularity: `[n_items]` weights, none negative, in proportion to which items are drawn, such
        as counts to the power of 0.75; an item of weight 0 never is. `None` draws all alike.
      seed: of the draws.

    Returns:
      `[positives, per_positive]` int64 item rows; -1 where the shopper touched every item.

    Raises:
      ValueError: if `popularity` is negative somewhere or zero everywhere.

    Source: Mikolov et al., Distributed Representations of Words and Phrases and their
    Compositionality (NeurIPS 2013), for the power of 0.75.
    """
    weights = _whole_weights(popularity, n_items)
    ends = np.cumsum(weights)
    owners, touched = np.divmod(np.unique(users.astype(np.int64) * n_items + items), n_items)
    taken = np.r_[0, np.cumsum(weights[touched])]  # weight of all the touched before a row
    shoppers = users[positives].astype(np.int64)
    first = np.searchsorted(owners, shoppers)
    left = ends[-1] - (taken[np.searchsorted(owners, shoppers, "right")] - taken[first])

    # Where a shopper's touched items were taken out of the line, and where the draws fall on it.
    cut_out = taken[:-1] - taken[np.searchsorted(owners, owners)]
    holes = owners * ends[-1] + (ends - weights)[touched] - cut_out
    shape = len(positives), per_positive
    points = np.random.default_rng(seed).integers(np.maximum(left, 1)[:, None], size=shape)

    passed = np.searchsorted(holes, (shoppers * ends[-1])[:, None] + points, "right")
    points += taken[passed] - taken[first][:, None]
    drawn = points if popularity is None else np.searchsorted(ends, points, "right")
    return np.where(left[:, None] > 0, drawn, -1)


def _whole_weights(popularity: np.ndarray | None, n_items: int) -> np.ndarray:
    """Weights as int64, so that sums of them are exact."""
    if popularity is None:
        return np.ones(n_items, np.int64)
    if popularity.min(initial=0) < 0 or not popularity.any():
        raise ValueError(
            "popularity: a weight is negative or all are 0; give counts or their powers"
        )
    shares = popularity / popularity.sum()
    return np.where(shares > 0, np.maximum(1, np.rint(shares * _WEIGHT)), 0).astype(np.int64)
