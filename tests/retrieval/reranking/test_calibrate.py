import math

import numpy as np
import pytest
import tensorflow as tf
from candidate_lists import LENGTHS, WIDTH, check, random_lists, relevance, written

from tfrec.retrieval.reranking import calibrate, category_shares

CATEGORIES = 4
_RANDOM = np.random.default_rng(2)
CODES = _RANDOM.integers(-1, CATEGORIES, size=(len(LENGTHS), WIDTH)).astype(np.int32)
TARGET = _RANDOM.dirichlet([0.7] * CATEGORIES, size=len(LENGTHS)).astype(np.float32)
TARGET[0] = [0.5, 0.0, 0.5, 0.0]


def divergence(target: np.ndarray, codes: list[int]) -> float:
    total = 0.0
    for category, share in enumerate(target.tolist()):
        if share:
            shown = codes.count(category) / len(codes)
            total += share * math.log(share / (0.99 * shown + 0.01 * share))
    return total


def plain_calibrate(
    codes: list[int], target: np.ndarray, strength: float, columns: list[int], scores: list[float]
) -> list[int]:
    relevant = dict(zip(columns, relevance(scores), strict=True))
    chosen: list[int] = []

    def worth(column: int) -> float:
        distance = divergence(target, [codes[one] for one in [*chosen, column]])
        return (1 - strength) * relevant[column] - strength * distance

    while len(chosen) < len(columns):
        # Rounded, for items of a category and a score are worth the same.
        chosen.append(
            max((c for c in columns if c not in chosen), key=lambda c: round(worth(c), 5))
        )
    return chosen


@pytest.mark.parametrize("k", [1, 6, WIDTH + 2])
@pytest.mark.parametrize("strength", [0.3, 0.8])
def test_each_place_goes_to_what_is_relevant_and_brings_the_mixture_nearer(
    strength: float, k: int
) -> None:
    lists = random_lists()

    found = calibrate(*lists, CODES, TARGET, strength, k)

    def plain(number: int, columns: list[int], scores: list[float]) -> list[int]:
        return plain_calibrate(CODES[number].tolist(), TARGET[number], strength, columns, scores)

    check(found, lists, k, plain)


def test_shopper_of_two_categories_is_shown_both_in_their_shares() -> None:
    lists = written([range(12)], [np.linspace(3, 2, 12)])
    codes = np.array([[0] * 8 + [1] * 4], np.int32)

    rows, _ = calibrate(*lists, codes, np.array([[0.75, 0.25]], np.float32), 0.99, 8)

    assert sorted(rows.numpy()[0].tolist()) == [0, 1, 2, 3, 4, 5, 8, 9]


@pytest.mark.parametrize(
    ("target", "strength"), [(TARGET, 0.0), (np.zeros_like(TARGET), 0.9), (TARGET[:, :0], 0.5)]
)
def test_without_strength_or_a_known_taste_relevance_decides_alone(
    target: np.ndarray, strength: float
) -> None:
    lists = random_lists()
    codes = np.minimum(CODES, target.shape[1] - 1)

    found = calibrate(*lists, codes, target, strength, 8)

    check(found, lists, 8, lambda _, columns, scores: columns)


def test_shares_of_categories_are_those_of_what_has_one() -> None:
    codes = tf.constant([[0, 2, 2, -1, 2], [-1, -1, -1, -1, -1], [1, 1, 1, 1, 1]])

    shares = category_shares(codes, 3)

    assert shares.numpy().tolist() == [[0.25, 0, 0.75], [0, 0, 0], [0, 1, 0]]
