"""Counts that are halved as time goes by, at no cost while nobody reads them."""

import tensorflow as tf

MOST = 2**13 - 1
"""The highest count."""

_COUNT_BITS = 13
_LAST_EPOCH = 2**18 - 1


class AgedCounts:
    """Counts in a variable, each halved once an epoch.

    A place holds a count and the epoch it was written in: `epoch << 13 | count`. Whoever reads it
    halves it as often as epochs have gone by since.
    """

    def __init__(self, variable: tf.Variable) -> None:
        """Takes the variable, `[places]` int32 zeros; it may be a `ShardedVariable`."""
        self._variable = variable

    def read(self, places: tf.Tensor, epoch: tf.Tensor) -> tf.Tensor:
        """Reads the counts at places of any shape, as of an epoch: int64 of that shape."""
        packed = tf.nn.embedding_lookup(self._variable, places)
        passed = _in_range(epoch) - tf.bitwise.right_shift(packed, _COUNT_BITS)
        halvings = tf.clip_by_value(passed, 0, _COUNT_BITS)
        counts = tf.bitwise.right_shift(tf.bitwise.bitwise_and(packed, MOST), halvings)
        return tf.cast(counts, tf.int64)

    def raise_to(self, places: tf.Tensor, counts: tf.Tensor, epoch: tf.Tensor) -> None:
        """Raises counts; what is higher at its place already stays.

        Of counts of earlier epochs, which are given up, the caller has taken account.

        Args:
          places: `[n]` int64; of several counts for one place, the highest remains.
          counts: `[n]` int64, not below zero; those above `MOST` count as `MOST`.
          epoch: int64 scalar.
        """
        shifted = tf.bitwise.left_shift(_in_range(epoch), _COUNT_BITS)
        packed = shifted + tf.cast(tf.minimum(counts, MOST), tf.int32)
        self._variable.scatter_max(tf.IndexedSlices(packed, places))


def _in_range(epoch: tf.Tensor) -> tf.Tensor:
    """The epoch as int32; nothing ages any more behind the last one that fits."""
    return tf.cast(tf.minimum(epoch, _LAST_EPOCH), tf.int32)
