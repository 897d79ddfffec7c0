"""Ranking the whole catalogue for every shopper of a window, and measuring the order."""

from collections.abc import Sequence

import numpy as np

from tfrec.data.query_set import QuerySet
from tfrec.errors import UserError
from tfrec.metrics import ndcg, recall, reciprocal_rank
from tfrec.models.ranker import Ranker

ALL = "all"
NEW = "new_to_shopper"
_SHOPPERS_TOGETHER = 256


Metrics = dict[str, dict[str, float]]
"""Slice -> metric -> mean over its shoppers; `users` counts them."""


def evaluate(ranker: Ranker, queries: QuerySet, cutoffs: Sequence[int]) -> Metrics:
    """Measures a ranker against what shoppers did next.

    Two slices: `all` ranks the whole catalogue against everything bought in the window;
    `new_to_shopper` leaves out, on both sides, what the shopper had bought before.

    Args:
      ranker: what to measure.
      queries: the shoppers of the window.
      cutoffs: list lengths `k`; the reciprocal rank looks at the longest.

    Returns:
      Means over the shoppers who have something to find.

    Raises:
      UserError: if a cutoff is longer than the catalogue.
      ValueError: if a score is NaN.
    """
    measured: dict[str, list[dict[str, np.ndarray]]] = {ALL: [], NEW: []}
    for batch in queries.batches(_SHOPPERS_TOGETHER):
        scores = ranker.scores(batch)
        if np.isnan(scores).any():
            raise ValueError(f"{type(ranker).__name__} scores NaN for shoppers {batch.users[:3]}")
        if max(cutoffs) > scores.shape[1]:
            raise UserError(
                f"evaluation.k: {max(cutoffs)} is more than the {scores.shape[1]} items of the "
                "catalogue; lower it"
            )
        relevant = np.zeros(scores.shape, bool)
        relevant[batch.relevant] = True
        measured[ALL].append(_measure(scores, relevant, cutoffs))
        scores = scores.copy()
        scores[batch.seen] = -np.inf
        relevant[batch.seen] = False
        measured[NEW].append(_measure(scores, relevant, cutoffs))
    return {name: _means(parts) for name, parts in measured.items()}


def _measure(
    scores: np.ndarray, relevant: np.ndarray, cutoffs: Sequence[int]
) -> dict[str, np.ndarray]:
    ranked = top(scores, max(cutoffs))
    hits = np.take_along_axis(relevant, ranked, axis=1)
    hits &= np.take_along_axis(scores, ranked, axis=1) > -np.inf
    count = relevant.sum(axis=1)
    values = {}
    for k in cutoffs:
        values[f"recall@{k}"] = recall(hits[:, :k], count)
        values[f"ndcg@{k}"] = ndcg(hits[:, :k], count)
    values["mrr"] = reciprocal_rank(hits, count)
    return values


def top(scores: np.ndarray, k: int) -> np.ndarray:
    """Finds each row's best places: `[users, items]` -> `[users, k]`, best first."""
    some = np.argpartition(-scores, k - 1, axis=1)[:, :k]
    order = np.argsort(-np.take_along_axis(scores, some, axis=1), axis=1, kind="stable")
    return np.take_along_axis(some, order, axis=1)


def _means(parts: list[dict[str, np.ndarray]]) -> dict[str, float]:
    whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    users = int(np.isfinite(whole["mrr"]).sum())
    means = {name: float(np.nanmean(values)) if users else np.nan for name, values in whole.items()}
    return {"users": users, **means}
