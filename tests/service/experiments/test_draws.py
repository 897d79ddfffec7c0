from collections import Counter
from functools import partial
from itertools import permutations

import numpy as np
import pytest

from tfrec.service.experiments.config import EpsilonGreedy, Exploration, Greedy, PlackettLuce
from tfrec.service.experiments.draws import depth, explore, rank_chances

DRAWS = 4_000


def epsilon(**fields: object) -> EpsilonGreedy:
    own = {"kind": "epsilon_greedy", "epsilon": 0.3, "places": [2, 4], "candidates": 3}
    return EpsilonGreedy.model_validate(own | fields)


def plackett_luce(**fields: object) -> PlackettLuce:
    own = {"kind": "plackett_luce", "temperature": 1.5, "candidates": 5}
    return PlackettLuce.model_validate(own | fields)


EXPLORATIONS = [
    (epsilon(), 20, 5, ()),
    (epsilon(places=(1, 2, 3)), 7, 5, ()),
    (epsilon(places=(4, 2, 2, 9)), 9, 5, (3,)),
    (plackett_luce(), 20, 3, ()),
    (plackett_luce(), 20, 8, ()),
    (plackett_luce(), 4, 8, (0,)),
    (plackett_luce(candidates=3), 20, 5, (1, 7)),
]


@pytest.mark.parametrize(("exploration", "count", "k", "fixed"), EXPLORATIONS)
def test_propensity_is_how_often_the_item_stands_there(
    exploration: Exploration, count: int, k: int, fixed: tuple[int, ...]
) -> None:
    random = np.random.default_rng(0)
    seen: Counter[tuple[int, int]] = Counter()
    told: dict[tuple[int, int], float] = {}
    for _ in range(DRAWS):
        draw = explore(exploration, count, k, lambda: random, fixed)
        for place, (rank, chance) in enumerate(zip(*draw, strict=True)):
            seen[place, int(rank)] += 1
            assert told.setdefault((place, int(rank)), chance) == chance

    assert len(told) > min(count, k)
    for where, chance in told.items():
        error = np.sqrt(chance * (1 - chance) / DRAWS)
        assert seen[where] / DRAWS == pytest.approx(chance, abs=5 * error + 1e-12)


@pytest.mark.parametrize(("exploration", "count", "k", "fixed"), EXPLORATIONS)
def test_slate_has_each_item_once_and_keeps_fixed_places(
    exploration: Exploration, count: int, k: int, fixed: tuple[int, ...]
) -> None:
    random = np.random.default_rng(1)
    for _ in range(200):
        ranks, propensities = explore(exploration, count, k, lambda: random, fixed)

        assert len(set(ranks)) == len(ranks) == len(propensities) == min(count, k)
        assert all(0 <= rank < count for rank in ranks)
        for place in fixed:
            if place < len(ranks):
                assert (ranks[place], propensities[place]) == (place, 1)


def test_same_random_draws_the_same_slate() -> None:
    one, again, other = (
        explore(plackett_luce(candidates=20), 50, 10, partial(np.random.default_rng, seed))
        for seed in (3, 3, 4)
    )

    assert one.ranks.tolist() == again.ranks.tolist() != other.ranks.tolist()


@pytest.mark.parametrize("count", [0, 1, 3])
@pytest.mark.parametrize("exploration", [Greedy(kind="none"), epsilon(), plackett_luce()])
def test_short_ranking_makes_a_short_slate(exploration: Exploration, count: int) -> None:
    ranks, propensities = explore(exploration, count, 5, lambda: np.random.default_rng(0))

    assert sorted(ranks) == list(range(count))
    assert ((propensities > 0) & (propensities <= 1)).all()


def test_without_reserve_nothing_is_explored() -> None:
    ranks, propensities = explore(epsilon(epsilon=1), 5, 5, lambda: np.random.default_rng(0))

    assert ranks.tolist() == [0, 1, 2, 3, 4]
    assert (propensities == 1).all()


def test_depth_is_what_a_draw_may_take() -> None:
    assert depth(Greedy(kind="none"), 10) == 10
    assert depth(epsilon(), 10) == 13
    assert depth(plackett_luce(candidates=30), 10) == 30
    assert depth(plackett_luce(), 10) == 10


def by_enumeration(candidates: int, places: int, temperature: float) -> np.ndarray:
    """The chances, from the definition: each order's is a product of choices among the rest."""
    weights = np.exp(-np.arange(candidates) / temperature)
    chances = np.zeros([candidates, places])
    for order in permutations(range(candidates)):
        rest = weights[list(order)][::-1].cumsum()[::-1]
        chance = np.prod(weights[list(order)] / rest)
        chances[order[:places], np.arange(places)] += chance
    return chances


@pytest.mark.parametrize("temperature", [0.25, 1.0, 3.0, 100.0])
def test_chances_of_ranks_are_those_of_the_definition(temperature: float) -> None:
    found = rank_chances(6, 4, temperature)

    np.testing.assert_allclose(found, by_enumeration(6, 4, temperature), rtol=1e-9)


@pytest.mark.parametrize("temperature", [0.25, 2.0])
def test_many_candidates_share_each_place(temperature: float) -> None:
    chances = rank_chances(30, 30, temperature)

    np.testing.assert_allclose(chances.sum(axis=0), 1, atol=1e-9)
    np.testing.assert_allclose(chances.sum(axis=1), 1, atol=1e-9)
    assert chances.min() >= 0
