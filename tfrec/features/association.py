"""How much one column tells of another."""

import numpy as np


def predictability(groups: np.ndarray, values: np.ndarray) -> float:
    """How much better a value can be guessed when its row's group is known.

    Rows alone in their group say nothing and are left out.

    Args:
      groups: `[rows]` whole numbers from 0 on, e.g. shoppers.
      values: `[rows]` whole numbers from 0 on, e.g. codes of a category.

    Returns:
      Share of the wrong guesses that the group makes right, in [0, 1]: 1 where a group has one
      value only; NaN where there is nothing to guess.

    Source: Goodman and Kruskal, Measures of Association for Cross Classifications, Journal of the
    American Statistical Association, 1954 (their lambda).
    """
    together = np.bincount(groups)[groups] > 1
    groups, values = groups[together], values[together]
    if not len(values):
        return float("nan")
    pairs, counts = np.unique(np.stack([groups, values]), axis=1, return_counts=True)
    most_frequent = np.zeros(groups.max() + 1, np.int64)
    np.maximum.at(most_frequent, pairs[0], counts)
    wrong = len(values) - np.bincount(values).max()
    wrong_in_group = len(values) - most_frequent.sum()
    return float(1 - wrong_in_group / wrong) if wrong else float("nan")


def variance_explained(groups: np.ndarray, numbers: np.ndarray) -> float:
    """Share of the numbers' variance that lies between groups, not within them.

    Args:
      groups: `[rows]` whole numbers from 0 on, e.g. codes of a category.
      numbers: `[rows]` floats, e.g. times.

    Returns:
      A share in [0, 1], 1 where all numbers of a group are the same; NaN where all numbers are, or
      there are none.

    Source: Fisher, Statistical Methods for Research Workers, 1925 (the correlation ratio, squared).
    """
    total = np.var(numbers) if len(numbers) else 0.0
    if not total:
        return float("nan")
    counts = np.bincount(groups)
    means = np.bincount(groups, numbers) / np.maximum(counts, 1)
    between = np.average((means - numbers.mean()) ** 2, weights=counts)
    return float(between / total)
