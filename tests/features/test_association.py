import math
from collections import Counter, defaultdict

import numpy as np
import pytest

from tfrec.features.association import predictability, variance_explained


def lambda_of(groups: list[int], values: list[int]) -> float:
    """Goodman and Kruskal's lambda from its definition, without groups of one row."""
    sizes = Counter(groups)
    rows = [(g, v) for g, v in zip(groups, values, strict=True) if sizes[g] > 1]
    in_group = defaultdict(Counter)
    for group, value in rows:
        in_group[group][value] += 1
    wrong = len(rows) - max(Counter(value for _, value in rows).values())
    wrong_in_group = sum(c.total() - max(c.values()) for c in in_group.values())
    return 1 - wrong_in_group / wrong


@pytest.mark.parametrize("seed", range(3))
def test_predictability_is_that_of_its_definition(seed: int) -> None:
    random = np.random.default_rng(seed)
    groups = random.integers(60, size=100)
    values = (groups + (random.random(100) < 0.3) * random.integers(9, size=100)) % 7

    measured = predictability(groups, values)

    assert measured == pytest.approx(lambda_of(groups.tolist(), values.tolist()))
    assert 0 < measured < 1


def test_value_that_each_group_has_one_of_is_wholly_predictable() -> None:
    groups = np.array([0, 0, 1, 1, 2, 2, 3])

    assert predictability(groups, np.array([5, 5, 2, 2, 5, 5, 9])) == 1


def test_value_that_groups_say_nothing_of_is_not_predictable() -> None:
    assert predictability(np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])) == 0


@pytest.mark.parametrize("values", [[3, 3, 3, 3], []])
def test_without_anything_to_guess_predictability_is_nan(values: list[int]) -> None:
    groups = np.zeros(len(values), int)

    assert math.isnan(predictability(groups, np.array(values, int)))


def test_groups_of_one_row_say_nothing() -> None:
    assert math.isnan(predictability(np.arange(4), np.array([0, 1, 2, 3])))


def test_variance_between_groups_is_the_share_of_all() -> None:
    groups, numbers = [0, 0, 1, 1, 1, 4], [1.0, 2.0, 8.0, 9.0, 7.0, 20.0]
    mean = sum(numbers) / len(numbers)
    of_group = {g: [n for h, n in zip(groups, numbers, strict=True) if h == g] for g in groups}
    within = sum((n - sum(g) / len(g)) ** 2 for g in of_group.values() for n in g)
    total = sum((n - mean) ** 2 for n in numbers)

    explained = variance_explained(np.array(groups), np.array(numbers))

    assert explained == pytest.approx(1 - within / total)


@pytest.mark.parametrize("numbers", [[3.0, 3.0], []])
def test_numbers_without_variance_are_not_explained(numbers: list[float]) -> None:
    assert math.isnan(variance_explained(np.arange(len(numbers)), np.array(numbers)))
