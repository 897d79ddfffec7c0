"""How often each of very many ids occurred, in little memory and seldom too high."""

import tensorflow as tf

from tfrec.embeddings.aged_counts import AgedCounts
from tfrec.embeddings.hashing import multiply_shift


class CountMinSketch:
    """Counts ids in a few lines of counters; ids that fall together share a counter.

        estimate(id) = min over the lines of counter[line, hash_line(id)]

    A counter is raised to an id's estimate at the most, which keeps rare ids' estimates low.

    Source: Cormode and Muthukrishnan, An Improved Data Stream Summary, Journal of Algorithms 2005;
    conservative update: Estan and Varghese, New Directions in Traffic Measurement and Accounting,
    SIGCOMM 2002.
    """

    def __init__(self, counts: AgedCounts, lines: int, width: int) -> None:
        """Takes `lines * width` counts, line behind line."""
        self._counts, self._lines, self._width = counts, lines, width

    def add(self, ids: tf.Tensor, counts: tf.Tensor, epoch: tf.Tensor) -> tf.Tensor:
        """Counts occurrences.

        Args:
          ids: `[n]` int64, each once.
          counts: `[n]` int64, how often each occurred.
          epoch: int64 scalar; see `AgedCounts`.

        Returns:
          `[n]` int64: how often each has occurred by now, seldom more, and less only by what age
          has halved.
        """
        lines = range(self._lines)
        places = tf.stack(
            [line * self._width + multiply_shift(ids, line, self._width) for line in lines]
        )
        before = self._counts.read(places, epoch)  # [lines, n]
        estimates = tf.reduce_min(before, axis=0) + counts
        after = tf.maximum(before, estimates)
        self._counts.raise_to(tf.reshape(places, [-1]), tf.reshape(after, [-1]), epoch)
        return estimates
