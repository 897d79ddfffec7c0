"""Slates that are drawn, each item with the exact chance of being where it is."""

from collections.abc import Callable, Collection
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from tfrec.service.experiments.config import EpsilonGreedy, Exploration, Greedy, PlackettLuce

_STEP = 0.25
_BEFORE, _BEHIND = 25.0, 4.0


class Draw(NamedTuple):
    """A slate that was drawn from a ranking.

    Attributes:
      ranks: `[places]` int64, from 0: which of the ranked stands at each place.
      propensities: `[places]` float64: the chance that it stands there, over all draws.
    """

    ranks: np.ndarray
    propensities: np.ndarray


def depth(exploration: Exploration, k: int) -> int:
    """How many candidates have to be ranked for a slate of `k`."""
    if isinstance(exploration, EpsilonGreedy):
        return k + exploration.candidates
    if isinstance(exploration, PlackettLuce):
        return max(k, exploration.candidates)
    return k


def explore(
    exploration: Exploration,
    count: int,
    k: int,
    random: Callable[[], np.random.Generator],
    fixed: Collection[int] = (),
) -> Draw:
    """Draws a slate from a ranking.

    Args:
      exploration: how.
      count: how many candidates are ranked, best first.
      k: places of the slate.
      random: makes what a slate is drawn with, if one is; the same one draws the same slate.
      fixed: places, from 0, that keep what is ranked there, such as pins.

    Returns:
      The slate, as long as `k` and `count` let it be.
    """
    places = min(k, count)
    if isinstance(exploration, EpsilonGreedy):
        return _epsilon_greedy(exploration, count, places, random(), fixed)
    if isinstance(exploration, PlackettLuce):
        return _plackett_luce(exploration, count, places, random(), fixed)
    assert isinstance(exploration, Greedy)
    return Draw(np.arange(places), np.ones(places))


def _epsilon_greedy(
    exploration: EpsilonGreedy,
    count: int,
    places: int,
    random: np.random.Generator,
    fixed: Collection[int],
) -> Draw:
    """Deals the reserve to the places in a drawn order, whether or not they show it.

    So each place is dealt each item of the reserve alike, and no item is dealt twice: at a place
    that explores, what is ranked there has `1 - epsilon`, and an item of the reserve
    `epsilon / reserve`.
    """
    ranks, propensities = np.arange(places), np.ones(places)
    reserve = np.arange(places, min(places + exploration.candidates, count))
    able = [place - 1 for place in exploration.places if place <= places]
    able = [place for place in dict.fromkeys(able) if place not in fixed][: len(reserve)]
    if not able:
        return Draw(ranks, propensities)
    shows = random.random(len(able)) < exploration.epsilon
    dealt = random.permutation(reserve)[: len(able)]
    ranks[able] = np.where(shows, dealt, able)
    propensities[able] = np.where(
        shows, exploration.epsilon / len(reserve), 1 - exploration.epsilon
    )
    return Draw(ranks, propensities)


def _plackett_luce(
    exploration: PlackettLuce,
    count: int,
    places: int,
    random: np.random.Generator,
    fixed: Collection[int],
) -> Draw:
    """Draws without replacement, by weights that fall with the rank alone.

    Source: Plackett, The Analysis of Permutations, JRSS C 1975; sorting by Gumbel noise draws so.
    """
    free = [rank for rank in range(count) if rank not in fixed]
    free = free[: exploration.candidates]
    ranks, propensities = np.arange(places), np.ones(places)
    able = [place for place in range(places) if place not in fixed][: len(free)]
    if len(free) < 2 or not able:
        return Draw(ranks, propensities)
    log_weights = -np.arange(len(free)) / exploration.temperature
    drawn = np.argsort(-(log_weights + random.gumbel(size=len(free))))[: len(able)]
    ranks[able] = np.array(free)[drawn]
    chances = rank_chances(len(free), len(able), exploration.temperature)
    propensities[able] = chances[drawn, np.arange(len(able))]
    return Draw(ranks, propensities)


@lru_cache(maxsize=1024)
def rank_chances(candidates: int, places: int, temperature: float) -> np.ndarray:
    """The chance of each candidate to be drawn at each place, with weights `exp(-rank / T)`.

    A draw without replacement is a race in which candidate `i` arrives after an exponential time
    of rate `w_i`. It gets place `r` if `r - 1` others arrive before it, so its chance is the
    integral over its time of arrival of a sum of products, built up candidate by candidate. Over
    the logarithm of time the trapezoidal rule is right to the last digits of a float.

    Args:
      candidates: how many are drawn from.
      places: how many are drawn.
      temperature: `T`.

    Returns:
      `[candidates, places]` float64, read-only; each column sums to 1.
    """
    weights = np.exp(-np.arange(candidates) / temperature)
    end = _BEHIND - np.log(weights[-1])
    times = np.exp(np.arange(-_BEFORE - np.log(weights.sum()), end, _STEP))  # [times]
    late = np.exp(-weights[:, None] * times)  # [candidates, times] not there yet
    chances = np.empty([candidates, places])
    for one in range(candidates):
        before = np.zeros([places, len(times)])  # how many of the others are there
        before[0] = 1
        for other in range(candidates):
            if other != one:
                moved = before[:-1] * (1 - late[other])
                before *= late[other]
                before[1:] += moved
        chances[one] = before @ (weights[one] * times * late[one]) * _STEP
    chances.setflags(write=False)
    return chances
