"""Pairs of a shopper and an item, as numbers that can be looked up."""

import numpy as np

Pairs = tuple[np.ndarray, np.ndarray]
"""Places of shoppers and catalogue rows, side by side."""


def keys_of(pairs: Pairs, items: int) -> np.ndarray:
    """A number for each different pair, in order."""
    return np.unique(pairs[0] * items + pairs[1])


def pairs_of(keys: np.ndarray, items: int) -> Pairs:
    """The pairs that numbers stand for."""
    return keys // items, keys % items


def contains(keys: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Whether each number is among the keys, which are in order."""
    if not len(keys):
        return np.zeros(wanted.shape, bool)
    return keys[np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)] == wanted
