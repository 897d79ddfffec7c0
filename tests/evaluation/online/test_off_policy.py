from typing import NamedTuple

import numpy as np
import pytest

from tfrec.evaluation.online.off_policy import (
    doubly_robust,
    effective_sample_size,
    inverse_propensity,
    self_normalised,
)
from tfrec.evaluation.online.ratio import ratio

CHANCES = np.array([[0.1, 0.6, 0.3], [0.5, 0.1, 0.4]])  # of a reward: [contexts, actions]
LOGGING = np.array([[0.6, 0.2, 0.2], [0.1, 0.7, 0.2]])
TARGET = np.array([[0.1, 0.7, 0.2], [0.6, 0.2, 0.2]])
TRUTH = (CHANCES * TARGET).sum(axis=1).mean()


class Drawn(NamedTuple):
    """Rows of a log, each `[rows]`."""

    contexts: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    weights: np.ndarray


def drawn(seed: int, rows: int = 1_000) -> Drawn:
    random = np.random.default_rng(seed)
    contexts = random.integers(2, size=rows)
    actions = (random.random(rows)[:, None] > LOGGING[contexts].cumsum(axis=1)).sum(axis=1)
    rewards = (random.random(rows) < CHANCES[contexts, actions]).astype(np.float64)
    weights = TARGET[contexts, actions] / LOGGING[contexts, actions]
    return Drawn(contexts, actions, rewards, weights)


def robust(log: Drawn, model: np.ndarray, weights: np.ndarray) -> float:
    expected = (TARGET * model).sum(axis=1)[log.contexts]
    terms = doubly_robust(log.rewards, weights, model[log.contexts, log.actions], expected)
    return ratio(*terms).value


def test_estimates_are_their_formulas() -> None:
    rewards, weights = np.array([1.0, 0, 1]), np.array([0.5, 2, 3])
    predicted, expected = np.array([0.2, 0.3, 0.4]), np.array([0.5, 0.6, 0.7])

    assert ratio(*inverse_propensity(rewards, weights)).value == pytest.approx(3.5 / 3)
    assert ratio(*self_normalised(rewards, weights)).value == pytest.approx(3.5 / 5.5)
    assert ratio(*doubly_robust(rewards, weights, predicted, expected)).value == pytest.approx(
        (0.5 + 0.5 * 0.8 + 0.6 + 2 * -0.3 + 0.7 + 3 * 0.6) / 3
    )
    assert effective_sample_size(weights) == pytest.approx(5.5**2 / (0.25 + 4 + 9))


def test_rows_of_equal_weight_count_whole() -> None:
    assert effective_sample_size(np.full(7, 0.3)) == pytest.approx(7)
    assert effective_sample_size(np.zeros(7)) == 0


@pytest.mark.parametrize("terms", [inverse_propensity, self_normalised])
def test_interval_holds_the_truth_as_often_as_it_says(terms: object) -> None:
    held = []
    for seed in range(300):
        log = drawn(seed)
        found = ratio(*terms(log.rewards, log.weights))
        held.append(found.low <= TRUTH <= found.high)

    assert 0.91 <= np.mean(held) <= 0.99


def test_doubly_robust_bears_either_mistake() -> None:
    logs = [drawn(seed) for seed in range(200)]

    wrong_model = np.mean([robust(log, np.full([2, 3], 0.9), log.weights) for log in logs])
    wrong_weights = np.mean([robust(log, CHANCES, np.ones(1_000)) for log in logs])

    assert wrong_model == pytest.approx(TRUTH, abs=0.01)
    assert wrong_weights == pytest.approx(TRUTH, abs=0.01)
    assert abs(np.mean([log.rewards.mean() for log in logs]) - TRUTH) > 0.1


def test_good_reward_model_makes_the_estimate_vary_less() -> None:
    logs = [drawn(seed) for seed in range(200)]

    plain = np.std([ratio(*inverse_propensity(log.rewards, log.weights)).value for log in logs])

    assert np.std([robust(log, CHANCES, log.weights) for log in logs]) < 0.9 * plain
