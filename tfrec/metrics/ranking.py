"""Ranking metrics of many shoppers at once.

Each takes `hits`, boolean `[users, k]`: whether the item a shopper was recommended in a place was
relevant; and `relevant`, `[users]`: how many items were relevant at all. Each returns `[users]`
float64 in [0, 1]; a shopper without a relevant item gets NaN.
"""

import numpy as np


def recall(hits: np.ndarray, relevant: np.ndarray) -> np.ndarray:
    """Share of each shopper's relevant items among the recommended ones.

    Source: Manning, Raghavan and Schütze, Introduction to Information Retrieval, ch. 8.
    """
    return _divide(hits.sum(axis=1), relevant)


def ndcg(hits: np.ndarray, relevant: np.ndarray) -> np.ndarray:
    """Discounted cumulative gain with binary relevance, as a share of the best one possible.

    Source: Järvelin and Kekäläinen, Cumulated Gain-based Evaluation of IR Techniques, TOIS 2002.
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


def _divide(gained: np.ndarray, possible: np.ndarray) -> np.ndarray:
    return np.divide(gained, possible, out=np.full(len(gained), np.nan), where=possible > 0)
