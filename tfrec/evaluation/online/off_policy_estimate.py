"""The worth of a target policy by each estimator, and how far the log can tell it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tfrec.evaluation.online.off_policy import (
    Terms,
    doubly_robust,
    effective_sample_size,
    inverse_propensity,
    self_normalised,
)
from tfrec.evaluation.online.off_policy_config import OffPolicyConfig
from tfrec.evaluation.online.ratio import Estimate, bootstrap, mean, ratio
from tfrec.evaluation.online.reward_model import cross_fit
from tfrec.evaluation.online.rounds import Policy, Rounds

_FAR = 4


@dataclass(frozen=True)
class Unsupported:
    """A choice of the target that the log never shows.

    Attributes:
      action: what it chooses.
      context: where.
      share: its share of all the target's choices.
    """

    action: str
    context: str
    share: float


@dataclass(frozen=True)
class OffPolicyEstimate:
    """What is known of a target policy.

    Attributes:
      rows: rows of the log.
      logged: mean reward of the logging policy.
      estimates: `IPS`, `SNIPS` and, with a reward model, `DR`.
      measured: mean reward in the target's own log, if there is one.
      effective_rows: rows of the target's own log that would tell as much.
      mean_weight: of the weights before they are cut; 1 but for chance if propensities are right.
      clipped: rows whose weight was cut.
      unsupported: what the target chooses and the log never shows, largest share first.
      rejected: reason -> rows left out.
    """

    rows: int
    logged: Estimate
    estimates: dict[str, Estimate]
    measured: Estimate | None
    effective_rows: float
    mean_weight: Estimate
    clipped: int
    unsupported: tuple[Unsupported, ...]
    rejected: dict[str, int]

    @property
    def unsupported_share(self) -> float:
        """Share of the target's choices of which the log knows nothing."""
        return sum(one.share for one in self.unsupported)

    @property
    def doubtful(self) -> bool:
        """Whether the mean weight is further from what it should be than chance takes it."""
        distance = abs(self.mean_weight.value - (1 - self.unsupported_share))
        return distance > _FAR * self.mean_weight.standard_error


def estimate(rounds: Rounds, config: OffPolicyConfig) -> OffPolicyEstimate:
    """Estimates what the target policy would have earned on the log's rows.

    Args:
      rounds: the log, and the target's probabilities.
      config: how weights are cut and intervals made.

    Returns:
      The estimates. They know nothing of `unsupported` choices, which count as if they earned
      nothing (IPS), as much as others do (SNIPS), or as the model says (DR).
    """
    whole = rounds.target / rounds.propensities
    weights = whole if config.clip is None else np.minimum(whole, config.clip)
    terms = {
        "IPS": inverse_propensity(rounds.rewards, weights),
        "SNIPS": self_normalised(rounds.rewards, weights),
    }
    model = _reward_model(rounds, config.seed)
    if model:
        terms["DR"] = doubly_robust(rounds.rewards, weights, *model)
    return OffPolicyEstimate(
        rows=len(weights),
        logged=mean(rounds.rewards),
        estimates=_estimate(terms, config),
        measured=None if rounds.measured is None else mean(rounds.measured),
        effective_rows=effective_sample_size(weights),
        mean_weight=mean(whole),
        clipped=int((whole > weights).sum()),
        unsupported=tuple(_unsupported(rounds.policy)) if rounds.policy else (),
        rejected=rounds.rejected,
    )


def _reward_model(rounds: Rounds, seed: int) -> tuple[np.ndarray, np.ndarray] | None:
    if rounds.predicted is not None and rounds.expected is not None:
        return rounds.predicted, rounds.expected
    policy = rounds.policy
    if policy is None:
        return None
    return cross_fit(policy.contexts, policy.actions, rounds.rewards, policy.probabilities, seed)


def _estimate(terms: Mapping[str, Terms], config: OffPolicyConfig) -> dict[str, Estimate]:
    if config.interval == "normal":
        return {name: ratio(*one) for name, one in terms.items()}
    whole = {name: one for name, one in terms.items() if one.denominators.any()}
    above, below = (np.stack(side, axis=1) for side in zip(*whole.values(), strict=True))
    found = bootstrap(above, below, config.resamples, config.seed)
    drawn = dict(zip(whole, found, strict=True))
    return {name: drawn.get(name) or ratio(*one) for name, one in terms.items()}


def _unsupported(policy: Policy) -> list[Unsupported]:
    """Choices without a row in the log; contexts weigh as many as they have rows."""
    table = policy.probabilities
    rows = np.zeros(table.shape, np.int64)
    np.add.at(rows, (policy.contexts, policy.actions), 1)
    of_context = rows.sum(axis=1, keepdims=True) / len(policy.contexts)
    shares = np.where(rows == 0, table * of_context, 0)
    order = np.argsort(-shares, axis=None, kind="stable")[: np.count_nonzero(shares)]
    places = zip(*np.unravel_index(order, shares.shape), strict=True)
    return [
        Unsupported(
            policy.action_names[action],
            policy.context_names[context],
            float(shares[context, action]),
        )
        for context, action in places
    ]
