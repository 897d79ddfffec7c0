"""What an index gives up for its speed, and what that speed is."""

import time

import numpy as np
import tensorflow as tf

from tfrec.retrieval.brute_force import BruteForce
from tfrec.retrieval.index import Index

_MEASURED_TOGETHER = 256
_TIMED_QUERIES = 100


def measure_recall(index: Index, exact: BruteForce, queries: np.ndarray, k: int) -> float:
    """Measures the share of the exact first `k` items that an index finds.

    Args:
      index: what to measure.
      exact: the same vectors, searched exactly.
      queries: `[n, dim]` vectors of queries.
      k: how many items are looked at.

    Returns:
      The mean over all queries, in [0, 1].
    """

    @tf.function(reduce_retracing=True)
    def hits(batch: tf.Tensor) -> tf.Tensor:
        found, wanted = index.search(batch, k)[0], exact.search(batch, k)[0]
        same = wanted[:, :, tf.newaxis] == found[:, tf.newaxis, :]  # [batch, wanted, found]
        return tf.math.count_nonzero(same)

    starts = range(0, len(queries), _MEASURED_TOGETHER)
    total = sum(hits(tf.constant(queries[i : i + _MEASURED_TOGETHER])).numpy() for i in starts)
    return float(total) / (len(queries) * k)


def measure_latency(index: Index, queries: np.ndarray, k: int) -> float:
    """Measures the median time of a search for one query, in milliseconds.

    Args:
      index: what to measure.
      queries: `[n, dim]` vectors of queries; the first hundred are asked.
      k: how many items are asked for.

    Returns:
      The median, after one search that is not counted.
    """
    search = tf.function(lambda query: index.search(query, k), autograph=False)
    seconds = []
    for number in range(-1, min(len(queries), _TIMED_QUERIES)):
        started = time.perf_counter()
        search(tf.constant(queries[[max(number, 0)]]))
        seconds.append(time.perf_counter() - started)
    return float(np.median(seconds[1:])) * 1000
