"""Ratios of sums over shoppers, and how far they are from chance.

A shopper makes many impressions, which are not independent of each other, but shoppers are. So
each ratio is one of two sums over shoppers, and its variance is that between shoppers.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

CONFIDENCE = 0.95
NORMAL_QUANTILE = float(norm.ppf((1 + CONFIDENCE) / 2))
_DRAWS_BYTES = 16 << 20


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval; all are NaN where there is none.

    Attributes:
      value: the figure.
      standard_error: its standard deviation.
      low: lower end.
      high: upper end.
    """

    value: float
    standard_error: float
    low: float
    high: float


def linearise(numerators: np.ndarray, denominators: np.ndarray) -> np.ndarray:
    """Values whose mean is a ratio, and the variance of whose mean is the ratio's.

    `R + (N_u - R D_u) / mean(D)` with `R = sum(N) / sum(D)`.

    Args:
      numerators: `[shoppers]`.
      denominators: `[shoppers]`.

    Returns:
      `[shoppers]` float64; NaN if all denominators are 0.

    Source: Deng, Knoblich and Lu, Applying the Delta Method in Metric Analytics, KDD 2018, sec. 3.
    """
    total = denominators.sum()
    if not total:
        return np.full(len(numerators), np.nan)
    value = numerators.sum() / total
    return value + (numerators - value * denominators) * (len(denominators) / total)


def mean(values: np.ndarray) -> Estimate:
    """The mean of independent values, `[values]`, with its normal interval."""
    value = float(values.mean()) if len(values) else np.nan
    error = float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else np.nan
    return normal(value, error)


def ratio(numerators: np.ndarray, denominators: np.ndarray) -> Estimate:
    """The ratio of two sums over shoppers, `[shoppers]` each, with the delta method's interval."""
    return mean(linearise(numerators, denominators))


def bootstrap(
    numerators: np.ndarray, denominators: np.ndarray, resamples: int, seed: int
) -> list[Estimate]:
    """Ratios of two sums over shoppers with percentile intervals over other draws of them.

    Args:
      numerators: `[shoppers, ratios]`.
      denominators: `[shoppers, ratios]`.
      resamples: number of draws, in which a shopper occurs a Poisson number of times of mean 1.
      seed: of the draws, which all ratios share.

    Returns:
      The ratios; the standard error is the deviation between draws.
    """
    random = np.random.default_rng(seed)
    columns = np.hstack([numerators, denominators])  # [shoppers, 2 * ratios]
    most = max(_DRAWS_BYTES // (8 * max(len(columns), 1)), 1)
    sums = [
        random.poisson(1, (min(most, resamples - start), len(columns))) @ columns
        for start in range(0, resamples, most)
    ]
    above, below = np.hsplit(np.concatenate(sums), 2)  # [resamples, ratios]
    pairs = zip(numerators.sum(axis=0), denominators.sum(axis=0), above.T, below.T, strict=True)
    return [
        _spread(one / other, top[under > 0] / under[under > 0]) for one, other, top, under in pairs
    ]


def normal(value: float, standard_error: float) -> Estimate:
    """A figure whose error is normal."""
    half = NORMAL_QUANTILE * standard_error
    return Estimate(value, standard_error, value - half, value + half)


def _spread(value: float, draws: np.ndarray) -> Estimate:
    low, high = np.quantile(draws, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Estimate(float(value), float(draws.std(ddof=1)), float(low), float(high))
