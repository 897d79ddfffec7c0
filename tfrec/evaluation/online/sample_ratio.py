"""Whether the arms of a test have got the shoppers that they were to get."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.stats import chi2

from tfrec.errors import UserError

_MISMATCH = 0.001


@dataclass(frozen=True)
class SampleRatio:
    """Shoppers of each arm beside those that its share stands for.

    Attributes:
      users: arm -> shoppers.
      expected: arm -> shoppers by the split.
      p_value: chance of numbers as far from the split if shoppers were divided as it says.
    """

    users: dict[str, int]
    expected: dict[str, float]
    p_value: float

    @property
    def mismatch(self) -> bool:
        """Whether something else than the split decides who is in which arm.

        Then arms differ by more than what is tested, and their figures say nothing of it.
        """
        return self.p_value < _MISMATCH


def sample_ratio(users: Mapping[str, int], split: Mapping[str, float]) -> SampleRatio:
    """Compares the arms' numbers of shoppers with a split by Pearson's chi-square test.

    Args:
      users: arm -> shoppers in the log.
      split: arm -> share that it was to get, in any unit.

    Returns:
      The comparison.

    Raises:
      UserError: if an arm has no shoppers, or is not in the split.

    Source: Fabijan et al., Diagnosing Sample Ratio Mismatch in Online Controlled Experiments,
    KDD 2019, also for the limit of 0.001.
    """
    known = ", ".join(split)
    if others := [arm for arm in users if arm not in split]:
        raise UserError(f"arms.split: {', '.join(others)}: in the log too; known here: {known}")
    if empty := [arm for arm in split if not users.get(arm)]:
        found = ", ".join(f"{arm} {count:,}" for arm, count in users.items()) or "no shoppers"
        raise UserError(
            f"arms.split: {', '.join(empty)}: no shopper of the log is in it ({found}); correct "
            "its name, or leave it out"
        )
    seen = np.array([users[arm] for arm in split], np.float64)
    shares = np.array([*split.values()]) / sum(split.values())
    expected = shares * seen.sum()
    statistic = ((seen - expected) ** 2 / expected).sum()
    return SampleRatio(
        {arm: users[arm] for arm in split},
        dict(zip(split, expected.tolist(), strict=True)),
        float(chi2.sf(statistic, len(split) - 1)),
    )
