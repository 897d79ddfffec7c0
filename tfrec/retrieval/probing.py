"""What indexes with partitions have in common."""

import abc
from collections.abc import Sequence

import numpy as np
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
        self._lengths: Sequence[int] = (0,)
        self._rescored = tf.Variable(2.0, trainable=False)
        # By the length of a list, up to the longest of `probe`.
        self._probed = tf.Variable([partitions], shape=[None], trainable=False)
        self._scored = tf.Variable([0], shape=[None], trainable=False)

    def probe(self, numbers: Sequence[tuple[int, int]], rescored: float) -> None:
        """Says how much of the index a search looks at.

        Args:
          numbers: pairs of a length of list and how many partitions it takes, both rising. Lengths
            between take what the next longer one does, and longer ones what the last one does, or
            as many as lists of that length need to be full.
          rescored: items that are scored exactly, as a multiple of the length, or of the shortest
            of `numbers` for a list that is shorter.
        """
        self._lengths, probed = zip(*numbers, strict=True)
        shortest, longest = self._lengths[0], self._lengths[-1]
        scored = np.ceil(np.arange(longest + 1).clip(shortest) * np.float32(rescored))
        self._probed.assign(self._by_length(probed))
        self._scored.assign(scored.astype(np.int32))
        self._rescored.assign(rescored)

    def _by_length(self, values: Sequence[float]) -> np.ndarray:
        """Values for the lengths given to `probe` -> those for all lengths up to the longest."""
        places = np.searchsorted(self._lengths, np.arange(self._lengths[-1] + 1))
        return np.asarray(values)[places]

    def fewest(self, k: int) -> int:
        """Says how many partitions are searched for `k` items at the least."""
        return int(self._fewest_for(tf.constant(k)))

    def _partitions_for(self, k: tf.Tensor) -> tf.Tensor:
        return tf.maximum(entry(self._probed, k), self._fewest_for(k))

    def _fewest_for(self, k: tf.Tensor) -> tf.Tensor:
        # Some partitions are small: an average one must not be all that a list is made of.
        filling = tf.cast(k, tf.float32) * (_ROOM_PER_RESULT * self.partitions / self.items)
        return tf.minimum(tf.cast(tf.math.ceil(filling), tf.int32), self.partitions)

    def _rescored_for(self, k: tf.Tensor) -> tf.Tensor:
        # Short lists need no less: their items are no nearer to the front by inexact scores.
        by_factor = tf.math.ceil(tf.cast(k, tf.float32) * self._rescored)
        return tf.maximum(entry(self._scored, k), tf.cast(by_factor, tf.int32))


def entry(by_length: tf.Variable, k: tf.Tensor) -> tf.Tensor:
    """The entry for lists of `k` items; the last one for those that are longer than all."""
    return tf.gather(by_length, tf.minimum(k, tf.size(by_length) - 1))
