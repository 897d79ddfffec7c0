"""Whether two arms are alike in what was known before."""

import numpy as np

from tfrec.models.effects.observations import Observations


def imbalance(rows: Observations, propensity: np.ndarray | None = None) -> np.ndarray:
    """How far the arms' means of each feature lie apart, in standard deviations.

    Args:
      rows: what was observed; a feature's unknown values are left out of it.
      propensity: `[rows]`; if given, a treated row counts `1 / e` and another `1 / (1 - e)`, by
        which both arms are like all rows, as far as the propensities are right.

    Returns:
      `[features]` float64, 0 or more; 0 for a feature without spread.

    Source: Austin, Balance diagnostics for comparing the distribution of baseline covariates
    between treatment groups, Statistics in Medicine 2009.
    """
    weights = np.ones(len(rows))
    if propensity is not None:
        weights = 1 / np.where(rows.treated, propensity, 1 - propensity)
    arms = [(rows.features[arm], weights[arm]) for arm in (rows.treated, ~rows.treated)]
    treated, control = (_mean(features, weight) for features, weight in arms)
    spread = np.sqrt(np.mean([_variance(features) for features, _ in arms], axis=0))
    apart = np.abs(treated - control)
    return np.divide(apart, spread, out=np.zeros_like(apart), where=spread > 0)


def _mean(features: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted means of the known values: `[features]`; 0 without one."""
    known = np.isfinite(features)
    sizes = weights @ known
    sums = weights @ np.where(known, features, 0)
    return np.divide(sums, sizes, out=np.zeros_like(sums), where=sizes > 0)


def _variance(features: np.ndarray) -> np.ndarray:
    """Variances of the known values: `[features]`."""
    even = np.ones(len(features))
    return _mean((features - _mean(features, even)) ** 2, even)
