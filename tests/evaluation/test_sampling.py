from collections import Counter
from itertools import permutations

import numpy as np
import pytest

from tfrec.evaluation.config import Candidates
from tfrec.evaluation.pairs import keys_of
from tfrec.evaluation.sampling import sample

NOTHING = np.zeros(0, np.int64)


def sets(
    candidates: Candidates, counts: np.ndarray, shoppers: np.ndarray, barred: np.ndarray
) -> list[tuple[int, ...]]:
    """What each shopper's items are, in order."""
    rows, items = sample(candidates, counts, shoppers, barred)
    return [tuple(sorted(items[rows == place].tolist())) for place in range(len(shoppers))]


@pytest.mark.parametrize("by", ["uniform", "popularity"])
@pytest.mark.parametrize("barred", [None, 3])
def test_sets_have_the_chances_of_drawing_one_item_after_the_other(
    by: str, barred: int | None
) -> None:
    """Whether draws suffice or, as where one item has nearly all events, most rows fall short."""
    counts, shoppers = np.array([1, 2, 3, 60, 4]), np.arange(8000)
    keys = NOTHING if barred is None else keys_of((shoppers, np.full(8000, barred)), 5)

    found = Counter(sets(Candidates(sampled=2, by=by), counts, shoppers, keys))

    rates = counts if by == "popularity" else np.ones(5)
    possible = [item for item in range(5) if item != barred]
    expected = Counter[tuple[int, ...]]()
    for first, second in permutations(possible, 2):
        left = rates[possible].sum()
        chance = rates[first] / left * rates[second] / (left - rates[first])
        expected[tuple(sorted((first, second)))] += chance
    assert found.keys() == expected.keys()
    shares = [found[pair] / len(shoppers) for pair in expected]
    assert shares == pytest.approx([*expected.values()], abs=0.02)


@pytest.mark.parametrize("by", ["uniform", "popularity"])
def test_draws_follow_from_shopper_and_seed_and_not_from_who_is_asked_for_together(
    by: str,
) -> None:
    counts, shoppers = np.arange(1, 301), np.arange(40)
    candidates = Candidates(sampled=9, by=by, seed=3)

    together = sets(candidates, counts, shoppers, NOTHING)
    alone = [sets(candidates, counts, shoppers[[one]], NOTHING)[0] for one in shoppers]
    others = sets(candidates.model_copy(update={"seed": 4}), counts, shoppers, NOTHING)

    assert together == alone
    assert len(set(together)) == len(shoppers)
    assert not set(together) & set(others)


def test_fewer_are_drawn_where_fewer_are_left() -> None:
    barred = keys_of((np.array([0, 0, 0, 1]), np.array([0, 1, 2, 4])), 5)

    drawn = sets(Candidates(sampled=4), np.ones(5, int), np.arange(3), barred)

    assert drawn[:2] == [(3, 4), (0, 1, 2, 3)]
    assert len(set(drawn[2])) == 4


def test_items_without_an_event_are_not_drawn_by_popularity() -> None:
    counts = np.array([0, 5, 0, 1, 0])

    drawn = sets(Candidates(sampled=2, by="popularity"), counts, np.arange(20), NOTHING)

    assert set(drawn) == {(1, 3)}
