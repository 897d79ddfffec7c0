"""What lists of recommendations make of the catalogue, whatever is relevant.

Lists are `[users, k]` rows of the catalogue, best first; -1 fills up a short list.
"""

import numpy as np

_USERS_TOGETHER = 1024


def coverage(lists: np.ndarray, items: int) -> float:
    """Share of the catalogue that anybody is recommended.

    Source: Ge, Delgado-Battenfeld and Jannach, Beyond Accuracy: Evaluating Recommender Systems by
    Coverage and Serendipity, RecSys 2010 (catalogue coverage).
    """
    return np.count_nonzero(_exposure(lists, items)) / items


def gini(lists: np.ndarray, items: int) -> float:
    """How unevenly recommendations fall on items: 0 if alike, towards 1 if on one; else NaN.

    With exposures `x_1 <= ... <= x_n` it is `sum_i (2 i - n - 1) x_i / (n sum_i x_i)`.

    Source: Shani and Gunawardana, Evaluating Recommendation Systems, Recommender Systems Handbook,
    2011; over all n items, with n instead of n - 1 below.
    """
    exposure = np.sort(_exposure(lists, items))
    weights = 2 * np.arange(1, items + 1) - items - 1
    total = exposure.sum()
    return float(weights @ exposure / (items * total)) if total else np.nan


def novelty(lists: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Mean self-information of each list's items: bits that say how rarely others take them.

    An item's is `-log2 p` with `p = (count + 1) / (all counts + items)`, so that items without an
    event have one as well.

    Args:
      lists: `[users, k]` catalogue rows, -1 for none.
      counts: `[items]` training events of each item.

    Returns:
      `[users]` float64; NaN for an empty list.

    Source: Zhou et al., Solving the Apparent Diversity-Accuracy Dilemma of Recommender Systems,
    PNAS 2010; with one event added to each item.
    """
    bits = -np.log2((counts + 1) / (counts.sum() + len(counts)))
    given = lists >= 0
    return _ratio(np.where(given, bits[lists], 0).sum(axis=1), given.sum(axis=1))


def intra_list_diversity(lists: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Mean cosine distance of the pairs of items in each list.

    The sum of all cosines is the squared length of the sum of unit vectors, so that no pair is
    looked at.

    Args:
      lists: `[users, k]` catalogue rows, -1 for none.
      vectors: `[items, dim]`; a vector of zeros is at distance 1 from all others.

    Returns:
      `[users]` float64 in [0, 2]; NaN for a list of fewer than two items.

    Source: Ziegler et al., Improving Recommendation Lists Through Topic Diversification, WWW 2005.
    """
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    units = np.divide(vectors, lengths, out=np.zeros(vectors.shape), where=lengths > 0)
    units = np.vstack([units, np.zeros(units.shape[1])])  # the row of -1
    alone = np.append(lengths[:, 0] > 0, False)
    cosines = np.empty(len(lists))
    for start in range(0, len(lists), _USERS_TOGETHER):
        some = lists[start : start + _USERS_TOGETHER]
        total = units[some].sum(axis=1)  # [users, dim]
        cosines[start : start + len(some)] = (total**2).sum(axis=1) - alone[some].sum(axis=1)
    return 1 - _ratio(cosines, _pairs(lists))


def intra_list_variety(lists: np.ndarray, categories: np.ndarray) -> np.ndarray:
    """Share of the pairs of items in each list that are of different categories.

    Args:
      lists: `[users, k]` catalogue rows, -1 for none.
      categories: `[items]` integers.

    Returns:
      `[users]` float64 in [0, 1]; NaN for a list of fewer than two items.

    Source: the distance of Ziegler et al., WWW 2005, with 0 for one category and 1 for two.
    """
    _, codes = np.unique(categories, return_inverse=True)
    users, _ = np.nonzero(lists >= 0)
    kinds, sizes = np.unique(users * len(categories) + codes[lists[lists >= 0]], return_counts=True)
    alike = np.bincount(
        kinds // len(categories), weights=sizes * (sizes - 1.0), minlength=len(lists)
    )
    return 1 - _ratio(alike, _pairs(lists))


def _exposure(lists: np.ndarray, items: int) -> np.ndarray:
    return np.bincount(lists[lists >= 0], minlength=items)


def _pairs(lists: np.ndarray) -> np.ndarray:
    """Ordered pairs of different places: `[users]`."""
    sizes = (lists >= 0).sum(axis=1)
    return sizes * (sizes - 1)


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.divide(above, below, out=np.full(len(above), np.nan), where=below > 0)
