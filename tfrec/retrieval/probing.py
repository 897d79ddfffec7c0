"""What indexes with partitions have in common."""

import abc
from collections.abc import Sequence

import tensorflow as tf

from tfrec.retrieval.vector_index import VectorIndex

_ROOM_PER_RESULT = 4


class ProbingIndex(VectorIndex, abc.ABC):
    """Searches the partitions that are nearest to a query, and scores the best items exactly.

    Attributes:
      partitions: how many there are.
    """

    def __init__(self, items: int, partitions: int) -> None:
        """Holds `items` items in so many partitions, all of which are searched until `probe`."""
        super().__init__(items)
        self.partitions = partitions
        self._rescored = tf.Variable(2.0, trainable=False)
        self._lengths = tf.Variable([1], shape=[None], trainable=False)
        self._probed = tf.Variable([partitions], shape=[None], trainable=False)

    def probe(self, numbers: Sequence[tuple[int, int]], rescored: float) -> None:
        """Says how much of the index a search looks at.

        Args:
          numbers: pairs of a length of list and how many partitions it takes, both rising. Lengths
            between take what the next longer one does, and longer ones what the last one does, or
            as many as lists of that length need to be full.
          rescored: items that are scored exactly, as a multiple of the length, or of the shortest
            of `numbers` for a list that is shorter.
        """
        lengths, probed = zip(*numbers, strict=True)
        self._lengths.assign(lengths)
        self._probed.assign(probed)
        self._rescored.assign(rescored)

    def fewest(self, k: int) -> int:
        """Says how many partitions are searched for `k` items at the least."""
        return int(self._fewest_for(tf.constant(k)))

    def _partitions_for(self, k: tf.Tensor) -> tf.Tensor:
        return tf.maximum(self._for_length(self._probed, k), self._fewest_for(k))

    def _for_length(self, values: tf.Variable, k: tf.Tensor) -> tf.Tensor:
        """The value for lists of `k` items of those for `_lengths`."""
        place = tf.searchsorted(self._lengths, tf.reshape(k, [1]))[0]
        return tf.gather(values, tf.minimum(place, tf.size(values) - 1))

    def _fewest_for(self, k: tf.Tensor) -> tf.Tensor:
        # Some partitions are small: an average one must not be all that a list is made of.
        filling = tf.cast(k, tf.float32) * (_ROOM_PER_RESULT * self.partitions / self.items)
        return tf.minimum(tf.cast(tf.math.ceil(filling), tf.int32), self.partitions)

    def _rescored_for(self, k: tf.Tensor) -> tf.Tensor:
        # Short lists need no less: their items are no nearer to the front by inexact scores.
        length = tf.cast(tf.maximum(k, self._lengths[0]), tf.float32)
        return tf.cast(tf.math.ceil(length * self._rescored), tf.int32)
