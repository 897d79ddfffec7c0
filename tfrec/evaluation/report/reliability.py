"""Whether what is predicted is what happens."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Reliability:
    """Examples in bins of about equal mass, by prediction; `[bins]` each.

    Attributes:
      predicted: mean prediction, ascending.
      happened: mean label; of labels 0 and 1 the share of positives.
      examples: how many the bin holds.
    """

    predicted: np.ndarray
    happened: np.ndarray
    examples: np.ndarray


def reliability(labels: np.ndarray, predictions: np.ndarray, bins: int = 10) -> Reliability:
    """Cuts examples into bins as `tfrec.metrics.calibration_error` does.

    Args:
      labels: `[examples]` numbers.
      predictions: `[examples]`, at least one.
      bins: number of bins; fewer come out where many predictions are equal.

    Source: DeGroot and Fienberg, The Comparison and Evaluation of Forecasters, The Statistician
    1983.
    """
    _, value, sizes = np.unique(predictions, return_inverse=True, return_counts=True)
    before = np.cumsum(sizes) - sizes
    bin_of = (before * bins // len(labels))[value]
    examples = np.bincount(bin_of, minlength=bins)
    some = examples > 0
    sums = (np.bincount(bin_of, values, bins)[some] for values in (predictions, labels))
    predicted, happened = (total / examples[some] for total in sums)
    return Reliability(predicted, happened, examples[some])
