"""Ranking metrics of many shoppers at once.

Each takes `hits`, boolean `[users, k]`: whether the item a shopper was recommended in a place was
relevant; and `relevant`, `[users]`: how many items were relevant at all. Each returns `[users]`
float64 in [0, 1]; a shopper without a relevant item gets NaN. A list with fewer than `k` items
counts as one whose last places missed.
"""

import numpy as np


def recall(hits: np.ndarray, relevant: np.ndarray) -> np.ndarray:
    """Share of each shopper's relevant items among the recommended ones.

    It divides by all relevant items, also where they are more than `k`.

    Source: Manning, Raghavan and Schütze, Introduction to Information Retrieval, ch. 8.
    """
    return _divide(hits.sum(axis=1), relevant)


def precision(hits: np.ndarray, relevant: np.ndarray) -> np.ndarray:
    """Share of the `k` places that hold a relevant item.

    Source: Manning, Raghavan and Schütze, Introduction to Information Retrieval, ch. 8.
    """
    return np.where(relevant > 0, hits.mean(axis=1), np.nan)


def hit_rate(hits: np.ndarray, relevant: np.ndarray) -> np.ndarray:
    """1 where any relevant item is recommended, else 0.

    Source: Deshpande and Karypis, Item-Based Top-N Recommendation Algorithms, TOIS 2004.
    """
    return np.where(relevant > 0, hits.any(axis=1), np.nan)


def ndcg(hits: np.ndarray, relevant: np.ndarray) -> np.ndarray:
    """Discounted cumulative gain with binary relevance, as a share of the best one possible.

    A hit in place p gains `1 / log2(p + 1)`. The best list has hits in its first
    `min(relevant, k)` places.

    Source: Järvelin and Kekäläinen, Cumulated Gain-based Evaluation of IR Techniques, TOIS 2002;
    the discount of every place as in Burges et al., Learning to Rank using Gradient Descent,
    ICML 2005.
    """
    discounts = 1.0 / np.log2(np.arange(2, hits.shape[1] + 2))
    best = np.r_[0.0, np.cumsum(discounts)][np.minimum(relevant, hits.shape[1])]
    return _divide(hits @ discounts, best)


def reciprocal_rank(hits: np.ndarray, relevant: np.ndarray) -> np.ndarray:
    """One over the place of the first relevant item; 0 where none is recommended.

    Source: Voorhees, The TREC-8 Question Answering Track Report, 1999.
    """
    first = np.where(hits.any(axis=1), hits.argmax(axis=1) + 1, np.inf)
    return np.where(relevant > 0, 1.0 / first, np.nan)


def average_precision(hits: np.ndarray, relevant: np.ndarray) -> np.ndarray:
    """Mean, over the relevant items, of the precision down to the place of each.

    It divides by `min(relevant, k)`, so that a list full of hits gets 1; dividing by all relevant
    items, as TREC does on whole rankings, gives less wherever they are more than `k`.

    Source: Manning, Raghavan and Schütze, Introduction to Information Retrieval, ch. 8.
    """
    precisions = np.cumsum(hits, axis=1) / np.arange(1, hits.shape[1] + 1)
    return _divide((precisions * hits).sum(axis=1), np.minimum(relevant, hits.shape[1]))


def _divide(gained: np.ndarray, possible: np.ndarray) -> np.ndarray:
    return np.divide(gained, possible, out=np.full(len(gained), np.nan), where=possible > 0)
