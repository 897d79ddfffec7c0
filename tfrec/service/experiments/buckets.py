"""Which arm a shopper is in: a matter of hashes, the same in every replica and after a restart."""

import math
from collections.abc import Mapping
from hashlib import blake2b

_TRAFFIC = "traffic"
_BYTES = 8


def arm_of(visitor: str, salt: str, weights: Mapping[str, float], traffic: float) -> str | None:
    """The arm of a shopper, or None for one who is not in the experiment.

    Each arm draws `-ln(u) / weight` with a `u` of its own for each shopper, and the smallest wins.
    So an arm whose weight grows takes shoppers from all others and gives none, and the others
    exchange none.

    Args:
      visitor: the shopper's id, or what stands for an anonymous session.
      salt: of the experiment; another one divides shoppers independently of this one.
      weights: arm -> weight; at least one is above 0.
      traffic: share of the shoppers that are in the experiment; who is in stays in when it grows.

    Source: Schindelhauer and Schomaker, Weighted Distributed Hash Tables, SPAA 2005.
    """
    if traffic < 1 and unit(salt, _TRAFFIC, visitor) >= traffic:
        return None
    draws = {
        arm: -math.log(unit(salt, f"arm:{arm}", visitor)) / weight
        for arm, weight in weights.items()
        if weight
    }
    return min(draws, key=draws.__getitem__)


def unit(*parts: str) -> float:
    """A number above 0 and below 1 that looks drawn, and is always the same of the same parts."""
    # As many bits as a float holds beside the half, which keeps it off both ends.
    return ((_hash(parts) >> 12) + 0.5) / 2**52


def seed_of(*parts: str) -> int:
    """A seed that is always the same of the same parts."""
    return _hash(parts)


def _hash(parts: tuple[str, ...]) -> int:
    # Each length stands before its part, so that no two lists of parts read alike.
    text = "".join(f"{len(part)}:{part}" for part in parts)
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_BYTES).digest()
    return int.from_bytes(digest, "big")
