"""Narrower intervals of a test by what its shoppers did before it began."""

from collections.abc import Sequence

import numpy as np


def adjust(values: Sequence[np.ndarray], before: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Takes from each shopper's value what the time before the test tells of it.

    `Y - theta (X - mean(X))` with `theta = cov(X, Y) / var(X)` within arms. The test has no effect
    on X, so that the arms' difference is the same on average, with `1 - corr(X, Y)^2` of its
    variance.

    Args:
      values: `[shoppers]` of each arm.
      before: `[shoppers]` of each arm, the covariate.

    Returns:
      `[shoppers]` of each arm; as they were if the covariate is the same for all.

    Source: Deng, Xu, Kohavi and Walker, Improving the Sensitivity of Online Controlled Experiments
    by Utilizing Pre-Experiment Data, WSDM 2013.
    """
    covariance = variance = 0.0
    for value, covariate in zip(values, before, strict=True):
        deviations = covariate - covariate.mean()
        covariance += float(deviations @ (value - value.mean()))
        variance += float(deviations @ deviations)
    theta = covariance / variance if variance else 0.0
    centre = np.concatenate(before).mean()
    return [
        value - theta * (covariate - centre)
        for value, covariate in zip(values, before, strict=True)
    ]
