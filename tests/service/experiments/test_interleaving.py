from collections import Counter

import numpy as np
import pytest

from tfrec.service.experiments.interleaving import interleave

DRAWS = 2_000
PAIRS = [
    ([1, 2, 3, 4, 5, 6], [2, 1, 4, 3, 6, 5], 5),
    ([1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 6], 4),
    ([1, 2, 3, 4], [5, 6, 7, 8], 6),
    ([1, 2, 3, 4, 9], [1, 4, 5, 3, 8], 7),
    ([1], [3, 2, 1, 5], 4),
    ([], [3, 2], 5),
]


def deal(first: list[int], second: list[int], k: int, random: np.random.Generator) -> tuple:
    dealt = interleave(np.array(first, np.int64), np.array(second, np.int64), k, random)
    return tuple(part.tolist() for part in dealt)


@pytest.mark.parametrize(("first", "second", "k"), PAIRS)
def test_slate_is_dealt_in_rounds_from_the_best_that_is_left(
    first: list[int], second: list[int], k: int
) -> None:
    random = np.random.default_rng(0)
    for _ in range(100):
        items, teams, _ = deal(first, second, k, random)

        assert len(set(items)) == len(items) == min(k, len({*first, *second}))
        left = [list(first), list(second)]
        for item, team in zip(items, teams, strict=True):
            assert item == left[team][0]
            left = [[one for one in ranking if one != item] for ranking in left]
        if first:
            both = teams[: 2 * min(len(first), len(second), len(teams) // 2)]
            assert abs(sum(both) - len(both) / 2) <= 1


@pytest.mark.parametrize(("first", "second", "k"), PAIRS)
def test_propensity_is_how_often_the_item_stands_there(
    first: list[int], second: list[int], k: int
) -> None:
    random = np.random.default_rng(0)
    seen: Counter[tuple[int, int]] = Counter()
    told: dict[tuple[int, int], float] = {}
    for _ in range(DRAWS):
        items, _, propensities = deal(first, second, k, random)
        for place, (item, chance) in enumerate(zip(items, propensities, strict=True)):
            seen[place, item] += 1
            told[place, item] = chance

    for where, chance in told.items():
        error = np.sqrt(chance * (1 - chance) / DRAWS)
        assert seen[where] / DRAWS == pytest.approx(chance, abs=5 * error + 1e-12)


def test_each_ranking_begins_as_often() -> None:
    random = np.random.default_rng(0)

    firsts = [deal([1, 2], [1, 2], 2, random)[1][0] for _ in range(1000)]

    assert 400 < sum(firsts) < 600


def test_long_rankings_have_chances_that_sum_to_one() -> None:
    random = np.random.default_rng(0)
    first, second = random.permutation(150), random.permutation(150)

    dealt = interleave(first, second, 100, random)

    assert len(dealt.items) == 100
    assert ((dealt.propensities > 0) & (dealt.propensities <= 1)).all()
