"""How well a ranker finds the shoppers on whom a treatment has the largest effect.

Shoppers are treated in the ranker's order. After each, the curve shows what has been gained, as a
mean over all shoppers; a ranker that knows nothing gains evenly, along a straight line. AUUC is the
area under the curve, the Qini coefficient that between it and the line.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from tfrec.evaluation.online.ratio import CONFIDENCE, Estimate

_DRAWS_BYTES = 32 << 20


class Gains(ABC):
    """How much treating the first shoppers of an order gains.

    Attributes:
      columns: `[rows, columns]` float64 whose sums over the first rows tell it.
    """

    columns: np.ndarray

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.columns)

    @abstractmethod
    def of(self, sums: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        """The gain after some rows.

        Args:
          sums: `[draws, points, columns]` sums of the columns over the first rows; the last point
            is after all rows.
          sizes: `[draws]` how many rows each draw has.

        Returns:
          `[draws, points]`.
        """


class AdjustedGains(Gains):
    """Sums of values whose mean over any rows is the effect on them, such as doubly robust ones.

    Of a log whose treatment was not random these are the ones to look at.

    Source: Yadlowsky et al., Evaluating treatment prioritization rules via rank-weighted average
    treatment effects, JASA 2024.
    """

    def __init__(self, effects: np.ndarray) -> None:
        """Takes the values, `[rows]`."""
        self.columns = effects[:, None].astype(np.float64)

    def of(self, sums: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        """The gain after some rows; see the base class."""
        return sums[..., 0] / sizes[:, None]


class CountedGains(Gains):
    """The Qini curve by counting the arms, which is right only where treatment was random.

        (sum of the treated's outcomes - sum of the others' * treated / others) / all treated

    Source: Radcliffe, Using control groups to target on predicted lift, Direct Marketing Analytics
    Journal 2007.
    """

    def __init__(self, outcomes: np.ndarray, treated: np.ndarray) -> None:
        """Takes the outcomes and who was treated, `[rows]` each."""
        arms = np.stack([treated, ~treated], axis=1).astype(np.float64)
        self.columns = np.hstack([arms * outcomes[:, None], arms])

    def of(self, sums: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        """The gain after some rows; see the base class."""
        treated, others, treated_rows, other_rows = np.moveaxis(sums, -1, 0)
        by_others = np.divide(others, other_rows, out=np.zeros_like(others), where=other_rows > 0)
        return (treated - by_others * treated_rows) / treated_rows[:, -1:]


@dataclass(frozen=True)
class UpliftCurve:
    """What has been gained when so many are treated.

    Attributes:
      shares: `[points]` of the shoppers, from 0 to 1; one point after each group of equal scores.
      gains: `[points]` in the outcome's unit for each shopper there is.
    """

    shares: np.ndarray
    gains: np.ndarray

    def at(self, share: float) -> float:
        """The gain when a share is treated; within equal scores, in random order."""
        return float(np.interp(share, self.shares, self.gains))


@dataclass(frozen=True)
class RankerUplift:
    """A ranker's order, measured.

    Attributes:
      curve: what it gains.
      auuc: area under the curve.
      qini: area between the curve and a random order's; 0 is no better than chance.
      less_than_first: the first ranker's Qini coefficient less this one's, in the same draws.
    """

    curve: UpliftCurve
    auuc: Estimate
    qini: Estimate
    less_than_first: Estimate


def measure_uplift(
    scores: Mapping[str, np.ndarray],
    gains: Gains,
    shoppers: np.ndarray,
    resamples: int,
    seed: int,
) -> dict[str, RankerUplift]:
    """Measures rankers on the same rows, with 95 % intervals over other draws of the shoppers.

    A shopper is in a draw, with all rows, as often as a Poisson number of mean 1 says. The
    intervals take the gains' values for known.

    Args:
      scores: name of a ranker -> `[rows]`, highest first; equal ones are in random order.
      gains: what the rows gain.
      shoppers: `[rows]` int64 numbers.
      resamples: number of draws.
      seed: of the draws.

    Returns:
      Name -> figures.

    Raises:
      ValueError: if a ranker scores another number of rows, or a score is no number.
    """
    for name, values in scores.items():
        if values.shape != (len(gains),) or not np.isfinite(values).all():
            raise ValueError(f"{name}: scores must be {len(gains):,} finite numbers")
    orders = {name: _Order.of(values) for name, values in scores.items()}
    curves, areas = {}, {}
    for name, order in orders.items():
        shares, heights = order.curves(gains, np.ones((1, len(gains))))
        curves[name] = UpliftCurve(shares[0], heights[0])
        areas[name] = [_areas(shares, heights)]
    for weights in _draws(shoppers, resamples, seed):
        for name, order in orders.items():
            areas[name].append(_areas(*order.curves(gains, weights)))
    figures = {name: np.hstack(parts) for name, parts in areas.items()}
    first = next(iter(figures.values()))[1]
    return {
        name: RankerUplift(curves[name], _estimate(auuc), _estimate(qini), _estimate(first - qini))
        for name, (auuc, qini) in figures.items()
    }


@dataclass(frozen=True)
class _Order:
    """Rows by descending score, and where each group of equal scores ends."""

    rows: np.ndarray
    ends: np.ndarray

    @classmethod
    def of(cls, scores: np.ndarray) -> "_Order":
        rows = np.argsort(-scores, kind="stable")
        ordered = scores[rows]
        return cls(rows, np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True)))

    def curves(self, gains: Gains, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Shares and gains of draws of the rows: `[draws, rows]` -> `[draws, points]` each."""
        ordered = weights[:, self.rows]
        counts = self._sums(ordered)
        columns = gains.columns[self.rows].T
        sums = np.stack([self._sums(ordered * column) for column in columns], axis=-1)
        with np.errstate(divide="ignore", invalid="ignore"):  # of few rows a draw may have none
            return counts / counts[:, -1:], gains.of(sums, counts[:, -1])

    def _sums(self, values: np.ndarray) -> np.ndarray:
        """Running sums at 0 and at the groups' ends: `[draws, 1 + groups]`."""
        sums = np.cumsum(values, axis=1)[:, self.ends]
        return np.pad(sums, ((0, 0), (1, 0)))


def _areas(shares: np.ndarray, heights: np.ndarray) -> np.ndarray:
    """AUUC and Qini of curves: `[2, draws]`."""
    auuc = (np.diff(shares, axis=1) * (heights[:, 1:] + heights[:, :-1])).sum(axis=1) / 2
    return np.stack([auuc, auuc - heights[:, -1] / 2])


def _draws(shoppers: np.ndarray, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """How often each row is in each draw: pieces of `[draws, rows]` float64."""
    _, numbers = np.unique(shoppers, return_inverse=True)
    random = np.random.default_rng(seed)
    most = max(_DRAWS_BYTES // (8 * max(len(shoppers), 1)), 1)
    for start in range(0, resamples, most):
        size = (min(most, resamples - start), int(numbers.max(initial=-1)) + 1)
        yield random.poisson(1, size).astype(np.float64)[:, numbers]


def _estimate(figures: np.ndarray) -> Estimate:
    """The first figure, with the interval of the others, which are of draws."""
    value, draws = float(figures[0]), figures[1:][np.isfinite(figures[1:])]
    if len(draws) < 2:
        return Estimate(value, np.nan, np.nan, np.nan)
    low, high = np.quantile(draws, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Estimate(value, float(draws.std(ddof=1)), float(low), float(high))
