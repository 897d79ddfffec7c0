"""What a policy would have earned, from the log of another one.

Each estimate is a ratio of two means over rows of the log, `[rows]` each: reward times weight, say,
over 1. `weights` are the target policy's probability of the logged action over the logging
policy's.
"""

from typing import NamedTuple

import numpy as np


class Terms(NamedTuple):
    """An estimate as a ratio of sums over rows: `[rows]` float64 each."""

    numerators: np.ndarray
    denominators: np.ndarray


def inverse_propensity(rewards: np.ndarray, weights: np.ndarray) -> Terms:
    """`mean(w r)`: without bias where the logging policy may choose all that the target does.

    Source: Horvitz and Thompson, A Generalization of Sampling Without Replacement from a Finite
    Universe, JASA 1952.
    """
    return Terms(weights * rewards, np.ones(len(rewards)))


def self_normalised(rewards: np.ndarray, weights: np.ndarray) -> Terms:
    """`sum(w r) / sum(w)`: a little biased, less variable, and never beyond the rewards seen.

    Source: Swaminathan and Joachims, The Self-Normalized Estimator for Counterfactual Learning,
    NIPS 2015.
    """
    return Terms(weights * rewards, weights)


def doubly_robust(
    rewards: np.ndarray, weights: np.ndarray, predicted: np.ndarray, expected: np.ndarray
) -> Terms:
    """`mean(e + w (r - p))`: without bias if the propensities or the reward model are right.

    Args:
      rewards: `[rows]`.
      weights: `[rows]`.
      predicted: `[rows]` the reward model's `p` for the logged action.
      expected: `[rows]` its mean `e` over the target's actions.

    Source: Dudik, Langford and Li, Doubly Robust Policy Evaluation and Learning, ICML 2011.
    """
    return Terms(expected + weights * (rewards - predicted), np.ones(len(rewards)))


def effective_sample_size(weights: np.ndarray) -> float:
    """`sum(w)^2 / sum(w^2)`: rows of the target's own log that would tell as much.

    Source: Kish, Survey Sampling, 1965, sec. 8.2.
    """
    squares = float(weights @ weights)
    return float(weights.sum()) ** 2 / squares if squares else 0.0
