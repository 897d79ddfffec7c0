"""Finding each shopper's best items among many, with ties broken by chance."""

import numpy as np

from tfrec.evaluation.chance import chance
from tfrec.evaluation.pieces import map_pieces

_BLOCKS_OF = 32


def top(scores: np.ndarray, k: int, shoppers: np.ndarray, seed: int) -> np.ndarray:
    """Finds each row's best items; equals are ordered by a draw of each shopper's own.

    The draw depends on shopper, item and seed, so that two rankers that score some items alike
    order them alike, however shoppers are batched.

    Args:
      scores: `[shoppers, items]` without NaN; -inf for items that are never recommended.
      k: length of the lists, at most `items`.
      shoppers: `[shoppers]` numbers that tell shoppers apart.
      seed: of the draws.

    Returns:
      `[shoppers, k]` int64 places, best first; -1 where no item is left to recommend.
    """

    def find(piece: slice) -> np.ndarray:
        return _top(scores[piece], k, shoppers[piece], seed)

    return np.concatenate(map_pieces(find, *scores.shape))


def without_number(scores: np.ndarray) -> np.ndarray:
    """Which rows of `[shoppers, items]` hold a NaN: `[rows]` int64, in order."""

    def find(piece: slice) -> np.ndarray:
        return np.isnan(scores[piece].max(axis=1, initial=-np.inf))  # as a NaN is the maximum

    return np.flatnonzero(np.concatenate(map_pieces(find, *scores.shape)))


def _top(scores: np.ndarray, k: int, shoppers: np.ndarray, seed: int) -> np.ndarray:
    # One more than asked for tells whether the last place is tied with an item left out.
    places = _largest(scores, min(k + 1, scores.shape[1]))
    best = np.take_along_axis(scores, places, axis=1)
    equal = (best[:, 1:] == best[:, :-1]) & (best[:, 1:] > -np.inf)
    tied = np.flatnonzero(equal.any(axis=1))
    places, best = places[:, :k], best[:, :k]
    if len(tied):
        places[tied] = _draw(scores[tied], places[tied], shoppers[tied], seed)
    return np.where(best > -np.inf, places, -1)


def _draw(scores: np.ndarray, places: np.ndarray, shoppers: np.ndarray, seed: int) -> np.ndarray:
    """Orders each row's best places anew, where equals are ordered, and get in, by a draw."""
    k = places.shape[1]
    best = np.take_along_axis(scores, places, axis=1)
    last = best[:, -1:]
    rows, items = np.nonzero(scores == last)
    counts = np.bincount(rows, minlength=len(scores))
    # The places, which get in if they are above the last score, and all that have the last score.
    held = np.zeros([len(scores), k + counts.max()], np.int64)
    chances = np.zeros(held.shape, np.uint32)
    held[:, :k] = places
    chances[:, :k] = np.where(best > last, np.iinfo(np.uint32).max, 0)
    column = k + np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    held[rows, column] = items
    chances[rows, column] = chance(shoppers[rows], items, seed)
    chosen = np.take_along_axis(held, _largest(chances, k), axis=1)
    draws = chance(shoppers[:, np.newaxis], chosen, seed)
    order = np.lexsort([draws, -np.take_along_axis(scores, chosen, axis=1)], axis=1)
    return np.take_along_axis(chosen, order, axis=1)


def _largest(values: np.ndarray, k: int) -> np.ndarray:
    """Places of each row's `k` largest values, the largest first; among equals, any.

    Only blocks with one of the `k` largest block maxima can hold one of the `k` largest values.
    A block is every n-th item, so that maxima of all blocks are found side by side.
    """
    rows, items = values.shape
    blocks = items // _BLOCKS_OF
    if blocks <= 2 * k:
        return _sort(values, np.argpartition(values, items - k, axis=1)[:, items - k :])
    maxima = values[:, : blocks * _BLOCKS_OF].reshape(rows, _BLOCKS_OF, blocks).max(axis=1)
    chosen = np.argpartition(maxima, blocks - k, axis=1)[:, blocks - k :]  # [rows, k]
    inside = chosen[:, :, np.newaxis] + blocks * np.arange(_BLOCKS_OF)  # [rows, k, block]
    rest = np.arange(blocks * _BLOCKS_OF, items)
    places = np.concatenate([inside.reshape(rows, -1), np.tile(rest, (rows, 1))], axis=1)
    found = np.take_along_axis(values, places, axis=1)
    best = np.argpartition(found, found.shape[1] - k, axis=1)[:, found.shape[1] - k :]
    return _sort(values, np.take_along_axis(places, best, axis=1))


def _sort(values: np.ndarray, places: np.ndarray) -> np.ndarray:
    order = np.argsort(np.take_along_axis(values, places, axis=1), axis=1)[:, ::-1]
    return np.take_along_axis(places, order, axis=1)
