"""Drawing the items that a shopper's relevant ones are ranked among."""

import numpy as np

from tfrec.evaluation.chance import CHANCES, chance
from tfrec.evaluation.config import Candidates
from tfrec.evaluation.pairs import Pairs, contains, pairs_of
from tfrec.evaluation.pieces import map_pieces

_DRAWS, _WAITS = 1 << 30, 1 << 31
"""Put on the seed, so that what is drawn has nothing to do with how ties are broken."""


def sample(
    candidates: Candidates, counts: np.ndarray, shoppers: np.ndarray, barred: np.ndarray
) -> Pairs:
    """Draws items for each shopper, none twice, each with its chance among those left.

    Items are drawn one after the other, and what is barred or was drawn before is passed over.
    Who has too few of them when as many again were drawn, as happens where few items have nearly
    all events or where nearly all are asked for, gets the rest by waiting times: of those with the
    rates of the chances, too, the next one to end is each with its chance among those left.

    Args:
      candidates: how many items, and their chances.
      counts: `[items]` training events of each item.
      shoppers: `[shoppers]` numbers that tell shoppers apart, whose draws follow from them.
      barred: pairs that are not drawn, as `keys_of` makes them; shoppers by their place.

    Returns:
      Pairs of a shopper's place and an item, as many for each as are asked for; fewer where
      fewer are left.
    """
    assert candidates.sampled is not None
    items, kept = _draw(candidates, counts, shoppers, barred)
    rows, places = np.nonzero(kept)
    drawn = rows, items[rows, places]
    short = np.flatnonzero(kept.sum(axis=1) < candidates.sampled)

    def fill(piece: slice) -> Pairs:
        return _race(candidates, counts, shoppers, short[piece], barred, drawn)

    filled = map_pieces(fill, len(short), len(counts)) if len(short) else []
    whole = ~np.isin(rows, short)
    parts = [(rows[whole], drawn[1][whole]), *filled]
    return np.concatenate([row for row, _ in parts]), np.concatenate([item for _, item in parts])


def _draw(
    candidates: Candidates, counts: np.ndarray, shoppers: np.ndarray, barred: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Items in the order in which they are drawn, and which of them count: `[shoppers, draws]`."""
    assert candidates.sampled is not None
    numbers = np.arange(2 * candidates.sampled)
    drawn = chance(shoppers[:, np.newaxis], numbers, candidates.seed + _DRAWS)
    shares = (drawn - np.uint32(1)) / CHANCES  # [0, 1)
    if candidates.by == "popularity":
        ends = np.cumsum(counts)
        items = np.searchsorted(ends, shares * ends[-1], side="right")
    else:
        items = (shares * len(counts)).astype(np.int64)
    keys = items + len(counts) * np.arange(len(shoppers))[:, np.newaxis]
    fresh = _first_of_equals(items) & ~contains(barred, keys)
    return items, fresh & (np.cumsum(fresh, axis=1) <= candidates.sampled)


def _first_of_equals(values: np.ndarray) -> np.ndarray:
    """Whether no earlier value of the row is the same: `[rows, width]` bool."""
    width = values.shape[1]
    ordered = np.sort(values * width + np.arange(width), axis=1)
    differs = np.ones(values.shape, bool)
    differs[:, 1:] = np.diff(ordered // width, axis=1) != 0
    first = np.empty(values.shape, bool)
    np.put_along_axis(first, ordered % width, differs, axis=1)
    return first


def _race(
    candidates: Candidates,
    counts: np.ndarray,
    shoppers: np.ndarray,
    rows: np.ndarray,
    barred: np.ndarray,
    drawn: Pairs,
) -> Pairs:
    """All items of some shoppers, behind those that were drawn by the ends of waiting times."""
    assert candidates.sampled is not None
    numbers = np.arange(len(counts))
    draws = chance(shoppers[rows, np.newaxis], numbers, candidates.seed + _WAITS)
    waits = -np.log1p(draws / -(CHANCES + 1))
    if candidates.by == "popularity":
        with np.errstate(divide="ignore"):
            waits /= counts
    place = np.full(len(shoppers), -1)
    place[rows] = np.arange(len(rows))
    for (those, items), wait in ((drawn, 0), (pairs_of(barred, len(counts)), np.inf)):
        ours = place[those] >= 0
        waits[place[those[ours]], items[ours]] = wait
    first = np.argpartition(waits, candidates.sampled - 1, axis=1)[:, : candidates.sampled]
    at, places = np.nonzero(np.isfinite(np.take_along_axis(waits, first, axis=1)))
    return rows[at], first[at, places]
