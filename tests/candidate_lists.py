"""Lists of candidates to re-rank, and how tests read and write them."""

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from tfrec.retrieval.index import NO_ITEM

Lists = tuple[np.ndarray, np.ndarray]
"""Rows and scores, `[batch, n]` each."""

WIDTH, ITEMS = 12, 40
LENGTHS = (12, 7, 1, 0, 12)


def random_lists(seed: int = 0) -> Lists:
    """Lists of several lengths, best first; the last has gaps and many equal scores."""
    random = np.random.default_rng(seed)
    rows = np.stack([random.permutation(ITEMS)[:WIDTH] for _ in LENGTHS])
    scores = -np.sort(-random.normal(size=rows.shape))
    scores[-1] = np.sort(random.integers(3, size=WIDTH))[::-1]
    absent = np.arange(WIDTH) >= np.array(LENGTHS)[:, np.newaxis]
    absent[-1, [0, 4, 5]] = True
    return written(np.where(absent, NO_ITEM, rows), np.where(absent, -np.inf, scores))


def written(rows: Sequence[Sequence[int]], scores: Sequence[Sequence[float]]) -> Lists:
    """Lists that a test gives itself."""
    return np.array(rows, np.int64), np.array(scores, np.float32)


def relevance(scores: Sequence[float]) -> list[float]:
    """Scores from 0, the lowest, to 1, the highest."""
    low, high = min(scores), max(scores)
    return [(score - low) / ((high - low) or 1) for score in scores]


def check(
    found: tuple[tf.Tensor, tf.Tensor],
    lists: Lists,
    k: int,
    plain: Callable[[int, list[int], list[float]], list[int]],
) -> None:
    """Compares lists with those of plain Python.

    Args:
      found: rows and scores that a step returned.
      lists: the candidates.
      k: length of the lists.
      plain: number of a list, columns of its items and their scores -> the columns of all that are
        to be in the new list, in order.
    """
    rows, scores = (values.numpy() for values in found)
    assert (rows.dtype, scores.dtype) == (np.int64, np.float32)
    assert rows.shape == scores.shape == (len(lists[0]), k)
    for number, (items, given) in enumerate(zip(*lists, strict=True)):
        columns = np.flatnonzero(items != NO_ITEM).tolist()
        wanted = plain(number, columns, given[columns].tolist())[:k] if columns else []
        rest = k - len(wanted)
        assert rows[number].tolist() == [*items[wanted], *[NO_ITEM] * rest]
        assert scores[number].tolist() == [*given[wanted], *[-np.inf] * rest]
