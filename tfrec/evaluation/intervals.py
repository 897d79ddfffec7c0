"""How far a mean over shoppers is from chance.

Values are `[shoppers, columns]`; NaN where a shopper has no value in a column. Columns are drawn
together, so that those of two rankers stay paired.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

CONFIDENCE = 0.95
_DRAWS_BYTES = 16 << 20


@dataclass(frozen=True)
class Comparison:
    """Two rankers on the same shoppers; each field is `[columns]` float64.

    Attributes:
      difference: mean of the first less the second.
      low: lower end of its interval.
      high: upper end.
      p_value: chance of a difference as large between rankers that are alike.
    """

    difference: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p_value: np.ndarray


def bootstrap(values: np.ndarray, resamples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The 95 % percentile intervals of each column's mean, over other draws of the shoppers.

    A shopper is in a draw as often as a Poisson number of mean 1 says, which is what drawing with
    replacement comes to for many shoppers, and needs no array of all draws.

    Args:
      values: `[shoppers, columns]`.
      resamples: number of draws.
      seed: of the draws.

    Returns:
      Lower and upper ends, `[columns]` each; NaN for a column without a value.

    Source: Efron, Bootstrap Methods, Annals of Statistics 1979; Chamandy et al., Estimating
    Uncertainty for Massive Data Streams, Google 2012, for the Poisson numbers.
    """
    means = _resampled_means(values, resamples, seed)
    tail = (1 - CONFIDENCE) / 2
    low, high = _quantiles(means, [tail, 1 - tail])
    return low, high


def compare(first: np.ndarray, second: np.ndarray, resamples: int, seed: int) -> Comparison:
    """Compares two rankers shopper by shopper.

    The interval is the bootstrap's. The p value is that of the randomisation test, which swaps
    the two rankers of random shoppers: the share of such swaps, the one at hand among them, that
    make at least the difference found.

    Args:
      first: `[shoppers, columns]`.
      second: of the same shape, the same shoppers in the same order.
      resamples: number of draws and of swaps.
      seed: of both.

    Source: Smucker, Allan and Carterette, A Comparison of Statistical Significance Tests for
    Information Retrieval Evaluation, CIKM 2007.
    """
    if first.shape != second.shape:
        raise ValueError(f"values of shape {first.shape} beside {second.shape}: other shoppers")
    differences = first - second
    known = np.isfinite(differences)
    filled, counts = np.where(known, differences, 0), known.sum(axis=0)
    total = filled.sum(axis=0)
    # A sum in another order differs by rounding, which must not count as a smaller difference.
    slack = 1e-9 * np.abs(filled).sum(axis=0)
    as_large = np.ones(first.shape[1])
    random = np.random.default_rng([seed, 1])
    for size in _sizes(resamples, len(first)):
        signs = random.integers(2, size=(size, len(first)), dtype=np.int8) * np.int8(2) - np.int8(1)
        as_large += (np.abs(signs @ filled) >= np.abs(total) - slack).sum(axis=0)
    low, high = bootstrap(differences, resamples, seed)
    mean = np.divide(total, counts, out=np.full(len(total), np.nan), where=counts > 0)
    p_value = np.where(counts > 0, as_large / (resamples + 1), np.nan)
    return Comparison(mean, low, high, p_value)


def _resampled_means(values: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """Each column's mean in each draw: `[resamples, columns]`."""
    known = np.isfinite(values)
    filled = np.where(known, values, 0).astype(np.float32)
    random = np.random.default_rng(seed)
    means = []
    for size in _sizes(resamples, len(values)):
        weights = random.poisson(1, (size, len(values))).astype(np.float32)
        sizes = weights @ known.astype(np.float32)
        sums = weights @ filled
        means.append(np.divide(sums, sizes, out=np.full(sums.shape, np.nan), where=sizes > 0))
    return np.concatenate(means)


def _quantiles(means: np.ndarray, shares: list[float]) -> np.ndarray:
    """Quantiles of each column: `[shares, columns]`; NaN for a column without a number."""
    ends = np.full([len(shares), means.shape[1]], np.nan)
    some = np.isfinite(means).any(axis=0)
    if some.any():
        ends[:, some] = np.nanquantile(means[:, some], shares, axis=0)
    return ends


def _sizes(resamples: int, shoppers: int) -> Iterator[int]:
    """Cuts the draws into pieces whose numbers, of 8 bytes, fit into the memory for them."""
    most = max(_DRAWS_BYTES // (8 * max(shoppers, 1)), 1)
    for start in range(0, resamples, most):
        yield min(most, resamples - start)
