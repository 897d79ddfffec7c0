"""Measures of predicted chances against what happened.

`labels` are `[examples]`, 0 or 1; `predictions` are `[examples]`.
"""

import numpy as np


def auc(labels: np.ndarray, predictions: np.ndarray) -> float:
    """Chance that a random positive is predicted above a random negative; a tie is half a win.

    `(sum of the positives' ranks - P (P + 1) / 2) / (P N)`, equals sharing their middle rank.

    Returns:
      A number in [0, 1]; NaN without a positive or without a negative.

    Source: Hanley and McNeil, The Meaning and Use of the Area under a ROC Curve, Radiology 1982.
    """
    return float(_auc_by_group(np.zeros(len(labels), np.int64), labels, predictions, 1)[0])


def gauc(groups: np.ndarray, labels: np.ndarray, predictions: np.ndarray) -> float:
    """AUC of each group, usually a shopper, averaged with the groups' numbers of examples.

    Groups without a positive or without a negative are left out.

    Args:
      groups: `[examples]` of anything that sorts.
      labels: `[examples]`, 0 or 1.
      predictions: `[examples]`.

    Returns:
      A number in [0, 1]; NaN if every group is left out.

    Source: Zhou et al., Deep Interest Network for Click-Through Rate Prediction, KDD 2018, eq. 8.
    """
    names, numbers = np.unique(groups, return_inverse=True)
    areas = _auc_by_group(numbers, labels, predictions, len(names))
    sizes = np.bincount(numbers, minlength=len(names))
    measured = np.isfinite(areas)
    return float(np.average(areas[measured], weights=sizes[measured])) if measured.any() else np.nan


def log_loss(labels: np.ndarray, predictions: np.ndarray) -> float:
    """Mean of `-y log p - (1 - y) log(1 - p)` in nats, with p at least 1e-7 from 0 and 1.

    Source: Good, Rational Decisions, Journal of the Royal Statistical Society B 1952.
    """
    chances = np.clip(predictions.astype(np.float64), 1e-7, 1 - 1e-7)
    return _mean(-np.where(labels > 0, np.log(chances), np.log1p(-chances)))


def calibration_error(labels: np.ndarray, predictions: np.ndarray, bins: int = 10) -> float:
    """Mean gap between what is predicted and what happens, over bins of equal mass.

    Sorted by prediction, the examples are cut into `bins` of the same size, as near as can be while
    equal predictions stay together. The gap of a bin is the absolute difference of its mean
    prediction and its share of positives; bins weigh as many as they hold.

    Returns:
      A number in [0, 1]; NaN without an example.

    Source: Nguyen and O'Connor, Posterior Calibration and Exploratory Analysis for Natural
    Language Processing Models, EMNLP 2015 (adaptive bins).
    """
    distinct, value, sizes = np.unique(predictions, return_inverse=True, return_counts=True)
    before = np.cumsum(sizes) - sizes
    bin_of = (before * bins // max(len(labels), 1))[value]
    gaps = np.bincount(bin_of, weights=predictions.astype(np.float64) - labels, minlength=bins)
    return float(np.abs(gaps).sum() / len(labels)) if len(distinct) else np.nan


def _auc_by_group(
    groups: np.ndarray, labels: np.ndarray, predictions: np.ndarray, count: int
) -> np.ndarray:
    """AUC within each group 0, 1, ...: `[count]`, NaN where it has no positive or no negative."""
    order = np.lexsort([predictions, groups])
    groups, predictions = groups[order], predictions[order]
    positive = (labels[order] > 0).astype(np.float64)
    new = np.ones(len(order), bool)
    new[1:] = (groups[1:] != groups[:-1]) | (predictions[1:] != predictions[:-1])
    first = np.flatnonzero(new)  # of each run of equals
    middle = first + (np.diff(np.append(first, len(order))) + 1) / 2  # ranks from 1
    sizes = np.bincount(groups, minlength=count)
    ranks = middle[np.cumsum(new) - 1] - (np.cumsum(sizes) - sizes)[groups]
    positives = np.bincount(groups, weights=positive, minlength=count)
    above = np.bincount(groups, weights=ranks * positive, minlength=count)
    pairs = positives * (sizes - positives)
    won = above - positives * (positives + 1) / 2
    return np.divide(won, pairs, out=np.full(count, np.nan), where=pairs > 0)


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else np.nan
