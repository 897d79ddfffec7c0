"""Numbers that look random, and follow from what they are of."""

import numpy as np

CHANCES = 1 << 31
"""How many different numbers there are."""


def chance(shoppers: np.ndarray, numbers: np.ndarray, seed: int) -> np.ndarray:
    """Draws a number from 1 to `CHANCES`, all as likely, for pairs of a shopper and a number.

    However pairs are put together, each has the same draw.

    Args:
      shoppers: integers that tell shoppers apart.
      numbers: what the draws of a shopper are of, of a shape that broadcasts with `shoppers`.
      seed: of all draws.

    Returns:
      uint32 of the common shape.

    Source: the finaliser of MurmurHash3 (Appleby), applied to each part in turn.
    """
    mixed = _mix(_mix(np.array([seed % (1 << 32)], np.uint32)) + shoppers.astype(np.uint32))
    return (_mix(mixed + numbers.astype(np.uint32)) >> np.uint32(1)) + np.uint32(1)


def _mix(words: np.ndarray) -> np.ndarray:
    words = words + np.uint32(0x9E3779B9)  # else 0 stays 0
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        words = (words ^ (words >> np.uint32(shift))) * np.uint32(factor)
    return words ^ (words >> np.uint32(16))
