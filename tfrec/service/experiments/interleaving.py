"""Two rankings dealt into one slate, so that its clicks tell which one shoppers prefer."""

from collections import defaultdict
from typing import NamedTuple

import numpy as np

_Cursors = tuple[int, int]
_Pair = tuple[list[int], list[int]]


class Interleaved(NamedTuple):
    """A slate of two rankings; arrays are `[places]`.

    Attributes:
      items: int64.
      teams: int64, 0 where the first ranking chose the item and 1 where the second did.
      propensities: float64, the chance that the item stands there, over all draws.
    """

    items: np.ndarray
    teams: np.ndarray
    propensities: np.ndarray


def interleave(
    first: np.ndarray, second: np.ndarray, k: int, random: np.random.Generator
) -> Interleaved:
    """Team-draft interleaving: in each round both rankings choose, and a coin says which begins.

    Args:
      first: int64 items, best first, each once.
      second: likewise.
      k: places of the slate.
      random: the same one deals the same slate.

    Returns:
      The slate; shorter than `k` where the rankings have fewer items together. A ranking that has
      no more items chooses nothing, and the other one goes on.

    Source: Radlinski, Kurup and Joachims, How Does Clickthrough Data Reflect Retrieval Quality?,
    CIKM 2008.
    """
    pair: _Pair = first.tolist(), second.tolist()
    places = min(k, len({*pair[0], *pair[1]}))
    items: list[int] = []
    teams: list[int] = []
    cursors = 0, 0
    while len(items) < places:
        begins = int(random.integers(2))
        for team in (begins, 1 - begins):
            chosen = _choose(pair, cursors, team)
            if chosen is not None and len(items) < places:
                item, cursors = chosen
                items.append(item)
                teams.append(team)
    chances = _chances(pair, places)
    propensities = [chances[place, item] for place, item in enumerate(items)]
    return Interleaved(
        np.array(items, np.int64), np.array(teams, np.int64), np.array(propensities, np.float64)
    )


def _choose(pair: _Pair, cursors: _Cursors, team: int) -> tuple[int, _Cursors] | None:
    """What a ranking chooses next, and where both stand then; None if it has nothing left.

    What is on a slate is always the beginnings of both rankings together. So where the cursors
    stand, each at the first item that is not on it, says what is on it.
    """
    ranking, cursor = pair[team], cursors[team]
    if cursor == len(ranking):
        return None
    item = ranking[cursor]
    gone = {*pair[0][: cursors[0]], *pair[1][: cursors[1]], item}
    moved = [_skip(ranking, place, gone) for ranking, place in zip(pair, cursors, strict=True)]
    return item, (moved[0], moved[1])


def _skip(ranking: list[int], cursor: int, gone: set[int]) -> int:
    while cursor < len(ranking) and ranking[cursor] in gone:
        cursor += 1
    return cursor


def _chances(pair: _Pair, places: int) -> dict[tuple[int, int], float]:
    """The chance of each item at each place, over the coins of all rounds.

    There are few pairs of cursors, however many ways lead to them, so each is followed once.
    """
    chances: dict[tuple[int, int], float] = defaultdict(float)
    rounds: dict[int, dict[_Cursors, float]] = defaultdict(lambda: defaultdict(float))
    rounds[0][0, 0] = 1.0
    for place in range(places):
        for begin, chance in rounds.pop(place, {}).items():
            for begins in (0, 1):
                at, cursors = place, begin
                for team in (begins, 1 - begins):
                    chosen = _choose(pair, cursors, team)
                    if chosen is not None and at < places:
                        item, cursors = chosen
                        chances[at, item] += chance / 2
                        at += 1
                rounds[at][cursors] += chance / 2
    return chances
