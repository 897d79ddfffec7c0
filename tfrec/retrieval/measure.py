"""What an index gives up for its speed, and what that speed is."""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfrec.retrieval.index import Index

_MEASURED_TOGETHER = 256
_TIMED_SEARCHES, _LEAST_SEARCHES = 100, 30
_FILTERED_QUERIES = 64
_SHARES = (0.5, 0.2, 0.1, 0.05, 0.01)

EQUAL = 1e-5
"""Share of a score by which another may differ and count as equal."""


Search = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
"""Vectors of queries `[n, dim]` and `k` -> rows `[n, k]`."""


def traced(index: Index, dim: int) -> Search:
    """Makes a graph of an index's search, as a bundle holds one.

    Args:
      index: what to search; how much of it is searched may still change.
      dim: floats of a query.
    """
    search = tf.function(lambda queries, k: index.search(queries, k)[0], autograph=False)
    # One trace for each index is no mistake, of which TensorFlow would warn in a call.
    return search.get_concrete_function(
        tf.TensorSpec([None, dim], tf.float32), tf.TensorSpec([], tf.int32)
    )


def first_items(search: Search, queries: np.ndarray, k: int) -> np.ndarray:
    """Searches for many queries.

    Args:
      search: the graph of an index's search; see `traced`.
      queries: `[n, dim]` vectors.
      k: how many items are wanted.

    Returns:
      `[n, k]` int64 rows.
    """
    starts = range(0, len(queries), _MEASURED_TOGETHER)
    batches = (tf.constant(queries[start : start + _MEASURED_TOGETHER]) for start in starts)
    return np.concatenate([search(batch, tf.constant(k)).numpy() for batch in batches])


def measure_recall(
    found: np.ndarray, exact: np.ndarray, queries: np.ndarray, embeddings: np.ndarray
) -> float:
    """Measures the share of the exact first items that were found, or others as good.

    An item is as good whose score equals that of the last exact one: only rounding, which differs
    from machine to machine, says which of them is among the first.

    Args:
      found: `[n, k]` distinct rows, or `NO_ITEM`.
      exact: `[n, k]` rows, best first, or `NO_ITEM`.
      queries: `[n, dim]` vectors.
      embeddings: `[items, dim]`.

    Returns:
      The mean over all exact items, in [0, 1].

    Source: Aumueller, Bernhardsson and Faithfull, ANN-Benchmarks, Information Systems 87, 2020, for
    recall that equal distances do not lower.
    """
    apart = np.arange(len(exact))[:, np.newaxis] * len(embeddings)
    there = found >= 0
    hits = there & np.isin(apart + found, (apart + exact)[exact >= 0])
    asked, places = np.nonzero(there & ~hits)

    def scores(rows: np.ndarray) -> np.ndarray:
        return np.einsum("nd,nd->n", embeddings[rows], queries[asked])

    last = exact[asked, -1]
    equal = np.isclose(scores(found[asked, places]), scores(last), rtol=EQUAL, atol=0)
    hits[asked, places] = equal & (last >= 0)
    return float(hits.sum() / np.count_nonzero(exact >= 0))


def measure_latency(search: Search, queries: np.ndarray, k: int, together: int = 1) -> float:
    """Measures the median time that a search takes for a query, in milliseconds.

    Args:
      search: the graph of an index's search; see `traced`.
      queries: `[n, dim]` vectors of queries; 30 to 100 searches are timed.
      k: how many items are asked for.
      together: how many queries are asked at once, which share the time.

    Returns:
      The median, after one search that is not counted.
    """
    starts = range(0, max(1, len(queries) - together + 1), together)
    batches = [tf.constant(queries[start : start + together]) for start in starts]
    asked = batches[:_TIMED_SEARCHES]
    asked *= -(-_LEAST_SEARCHES // len(asked))
    seconds = []
    for batch in (asked[-1], *asked):
        started = time.perf_counter()
        search(batch, tf.constant(k))
        seconds.append((time.perf_counter() - started) / len(batch))
    return float(np.median(seconds[1:])) * 1000


class Filtered(NamedTuple):
    """What a search finds and takes where only some items are allowed.

    Attributes:
      share: of the catalogue that is allowed.
      alike: whether these are the items most like one of them, as those of a category are; else
        they are drawn.
      recall: share of the exact first items that are found.
      milliseconds: median time of a search for one query.
    """

    share: float
    alike: bool
    recall: float
    milliseconds: float


def measure_filtered(
    index: Index, exact: Index, embeddings: np.ndarray, queries: np.ndarray, k: int
) -> list[Filtered]:
    """Measures searches with filters that let through fewer and fewer items.

    Args:
      index: what to measure.
      exact: exact search of the same items.
      embeddings: `[items, dim]` float32.
      queries: `[n, dim]` vectors of queries; the first 64 are asked, each with its own filter.
      k: how many items are wanted.
    """
    random = np.random.default_rng(0)
    first, found = queries[:_FILTERED_QUERIES], []
    for share in _SHARES:
        for alike in (False, True):
            asked = []
            for query in first:
                likeness = random.random(len(embeddings))
                if alike:
                    likeness = embeddings @ embeddings[random.integers(len(embeddings))]
                allowed = likeness >= np.quantile(likeness, 1 - share)
                asked.append((tf.constant(query[np.newaxis]), tf.constant(allowed[np.newaxis])))
            rows, seconds = _filtered_items(index, asked, k)
            wanted = _filtered_items(exact, asked, k)[0]
            recall = measure_recall(rows, wanted, first, embeddings)
            found.append(Filtered(share, alike, round(recall, 4), round(seconds * 1000, 3)))
    return found


def _filtered_items(
    index: Index, asked: Sequence[tuple[tf.Tensor, tf.Tensor]], k: int
) -> tuple[np.ndarray, float]:
    """The items found, `[n, k]`, and the median time of a search."""
    search = tf.function(
        lambda query, allowed: index.search_allowed(query, k, allowed)[0], autograph=False
    ).get_concrete_function(*(tf.TensorSpec(one.shape, one.dtype) for one in asked[0]))
    rows, seconds = [], []
    search(*asked[0])
    for query, allowed in asked:
        started = time.perf_counter()
        rows.append(search(query, allowed))
        seconds.append(time.perf_counter() - started)
    return np.concatenate([one.numpy() for one in rows]), float(np.median(seconds))


def measure_memory(index: Index) -> float:
    """Adds up what an index holds, in megabytes."""
    sizes = [
        int(tf.reduce_sum(tf.strings.length(variable)))
        if variable.dtype == tf.string
        else variable.dtype.size * int(tf.size(variable))
        for variable in index.variables
    ]
    return sum(sizes) / 1e6
