"""How often items come in a stream, estimated while it passes."""

import numpy as np
import tensorflow as tf


class StreamingFrequency(tf.Module):
    """Estimates the chance that a batch holds an item, from the batches between two that do.

    For the sampling correction where the items' shares are not known beforehand, or change. At the
    batch `t`, for each of its items, in the item's bucket `h`:

        gap[h] <- (1 - rate) * gap[h] + rate * (t - last[h]);  last[h] <- t
        chance = 1 / gap[h]

    An item's rate is one over the gaps seen so far until that falls to `learning_rate`: the first
    ones are averaged plainly, and the count of batches before an item first came, which stands in
    for a gap, is forgotten at once. Items that share a bucket look like one that comes more often;
    with several hashes, the longest gap is the least disturbed. Time and memory of a step depend on
    the batch alone.

    Replicas in step must all be given the items of all of them.

    Source: Yi et al., Sampling-Bias-Corrected Neural Modeling for Large Corpus Item
    Recommendations, RecSys 2019, algorithm 2 and section 4.2; there the rate is constant.
    """

    def __init__(self, buckets: int, learning_rate: float = 0.05, hashes: int = 1) -> None:
        """Makes the arrays.

        Args:
          buckets: length of each hash's arrays; from one per item on, no two share a bucket.
          learning_rate: how fast old gaps are forgotten, in (0, 1]: after about one over it.
          hashes: independent ways to assign buckets.
        """
        super().__init__()
        self._buckets, self._learning_rate = buckets, learning_rate
        odd = np.random.default_rng(0).integers(1 << 62, size=[hashes - 1, 1]) * 2 + 1
        self._odd = odd.astype(np.uint64)
        self._batches = _variable(tf.zeros([], tf.int64))
        self._seen = _variable(tf.zeros([hashes * buckets], tf.int64))
        self._last = _variable(tf.zeros([hashes * buckets], tf.int64))
        self._gap = _variable(tf.zeros([hashes * buckets]))

    def update(self, rows: tf.Tensor) -> None:
        """Takes the next batch of the stream in.

        Args:
          rows: `[distinct]` int64, its items, each once.
        """
        self._batches.assign_add(1)
        batch = self._batches.read_value()
        places = tf.reshape(self._places(rows), [-1])
        seen = tf.nn.embedding_lookup(self._seen, places)
        rate = 1.0 / tf.cast(tf.maximum(seen, 1), tf.float32)
        rate = tf.maximum(rate, self._learning_rate)
        gap = tf.nn.embedding_lookup(self._gap, places)
        newest = tf.cast(batch - tf.nn.embedding_lookup(self._last, places), tf.float32)
        # Of workers that do not wait for each other, another one may have counted on meanwhile.
        newest = tf.maximum(newest, 1.0)
        # Items of one bucket write the same there.
        self._gap.scatter_update(tf.IndexedSlices(gap + rate * (newest - gap), places))
        self._seen.scatter_update(tf.IndexedSlices(seen + 1, places))
        self._last.scatter_update(tf.IndexedSlices(tf.fill(tf.shape(places), batch), places))

    def chance(self, rows: tf.Tensor) -> tf.Tensor:
        """Estimates the chance that a batch holds an item.

        Args:
          rows: `[items]` int64.

        Returns:
          `[items]` float32 in (0, 1]; of an item that never came, one over the batches so far.
        """
        gaps = tf.nn.embedding_lookup(self._gap, self._places(rows))  # [hashes, items]
        never = tf.cast(self._batches, tf.float32)
        return 1.0 / tf.maximum(tf.reduce_max(tf.where(gaps > 0, gaps, never), 0), 1.0)

    def shares(self, rows: tf.Tensor, draws: tf.Tensor | int) -> tf.Tensor:
        """Estimates the share of the examples that are of an item, as sampling corrections take it.

            share = 1 - (1 - chance) ^ (1 / draws)

        Args:
          rows: `[items]` int64.
          draws: examples of a batch.

        Returns:
          `[items]` float32 in (0, 1].
        """
        missed = tf.math.log1p(-tf.minimum(self.chance(rows), 1.0 - 1e-6))
        return -tf.math.expm1(missed / tf.cast(draws, tf.float32))

    def _places(self, rows: tf.Tensor) -> tf.Tensor:
        """Finds the places of items in the arrays: `[hashes, items]` int64."""
        # The first hash leaves rows as they are; the others multiply by odd numbers and keep the
        # upper bits (multiply-shift: Dietzfelbinger et al., Journal of Algorithms 1997).
        rows = tf.cast(rows, tf.int64)
        products = tf.constant(self._odd) * tf.cast(rows, tf.uint64)  # [hashes - 1, items]
        upper = tf.cast(tf.bitwise.right_shift(products, np.uint64(32)), tf.int64)
        buckets = tf.concat([rows[tf.newaxis], upper], 0) % self._buckets
        return buckets + self._buckets * tf.range(len(self._odd) + 1, dtype=tf.int64)[:, tf.newaxis]


def _variable(initial: tf.Tensor) -> tf.Variable:
    """Makes a variable of which replicas in step, that all write the same, keep one value."""
    aggregation = tf.VariableAggregation.ONLY_FIRST_REPLICA
    return tf.Variable(initial, trainable=False, aggregation=aggregation)
