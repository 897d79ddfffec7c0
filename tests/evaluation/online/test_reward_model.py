import numpy as np
import pytest

from tfrec.evaluation.online.reward_model import cross_fit


def test_predictions_are_drawn_means_of_the_other_folds() -> None:
    random = np.random.default_rng(0)
    contexts, actions = random.integers(2, size=40), random.integers(3, size=40)
    rewards = random.random(40)
    policy = np.array([[0.2, 0.3, 0.5], [1, 0, 0]])

    predicted, expected = cross_fit(contexts, actions, rewards, policy, seed=4)

    folds = np.random.default_rng(4).permutation(40) % 5

    def model(row: int, action: int) -> float:
        rest = [other for other in range(40) if folds[other] != folds[row]]
        same = [o for o in rest if (contexts[o], actions[o]) == (contexts[row], action)]
        centre = sum(rewards[other] for other in rest) / len(rest)
        return (sum(rewards[other] for other in same) + 100 * centre) / (len(same) + 100)

    for row in range(40):
        assert predicted[row] == pytest.approx(model(row, actions[row]))
        assert expected[row] == pytest.approx(
            sum(policy[contexts[row], action] * model(row, action) for action in range(3))
        )


def test_rows_own_reward_does_not_matter() -> None:
    contexts, actions, policy = np.zeros(50, int), np.arange(50) % 2, np.array([[0.5, 0.5]])
    rewards = np.zeros(50)
    before, _ = cross_fit(contexts, actions, rewards, policy, 0)
    rewards[7] = 1

    after, _ = cross_fit(contexts, actions, rewards, policy, 0)

    assert after[7] == before[7]
    assert (after != before).sum() == 40


def test_single_row_is_no_failure() -> None:
    predicted, _ = cross_fit(np.zeros(1, int), np.zeros(1, int), np.ones(1), np.ones([1, 1]), 0)

    assert predicted.tolist() == [0]
