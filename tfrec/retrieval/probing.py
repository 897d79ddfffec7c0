"""What indexes with partitions have in common."""

import abc
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfrec.retrieval.vector_index import VectorIndex

_ROOM_PER_RESULT = 4
_LONGEST = 2**16


class ProbingIndex(VectorIndex, abc.ABC):
    """Searches the partitions that are nearest to a query, and scores the best items exactly.

    Attributes:
      partitions: how many there are.
    """

    def __init__(self, items: int, partitions: int) -> None:
        """Holds `items` items in so many partitions, all of which are searched until `probe`."""
        super().__init__(items)
        self.partitions = partitions
        # By the length of a list. To look them up is one operation, to work them out is a dozen.
        self._lengths = np.arange(min(items, _LONGEST) + 1)
        self._efforts = tf.Variable(self._efforts_of([(1, partitions)], 2), trainable=False)

    def probe(self, numbers: Sequence[tuple[int, int]], rescored: float) -> None:
        """Says how much of the index a search looks at.

        Args:
          numbers: pairs of a length of list and how many partitions it takes, both rising. Lengths
            between take what the next longer one does, and longer ones what the last one does, or
            as many as lists of that length need to be full; lists above 65,536 items take all.
          rescored: items that are scored exactly, as a multiple of the length, or of the shortest
            of `numbers` for a list that is shorter: its items are no nearer to the front by inexact
            scores.
        """
        self._efforts.assign(self._efforts_of(numbers, rescored))

    def fewest(self, k: int) -> int:
        """Says how many partitions are searched for `k` items at the least."""
        return int(self._fewest(np.asarray(k)))

    def _fewest(self, k: np.ndarray) -> np.ndarray:
        # Some partitions are small: an average one must not be all that a list is made of.
        filling = np.ceil(k * (_ROOM_PER_RESULT * self.partitions / self.items))
        return np.minimum(filling, self.partitions)

    def _efforts_of(self, numbers: Sequence[tuple[int, int]], rescored: float) -> np.ndarray:
        lengths, probed = zip(*numbers, strict=True)
        partitions = np.maximum(self._by_length(lengths, probed), self._fewest(self._lengths))
        scored = np.ceil(self._lengths.clip(lengths[0]) * rescored).clip(max=self.items)
        efforts = np.stack([partitions, scored], 1)
        return np.append(efforts, [(self.partitions, self.items)], 0).astype(np.int32)

    def _by_length(self, lengths: Sequence[int], values: Sequence[float]) -> np.ndarray:
        """Values for some lengths -> those for all of `_lengths`."""
        places = np.searchsorted(lengths, self._lengths).clip(max=len(lengths) - 1)
        return np.asarray(values)[places]

    def _effort_for(self, k: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """How many partitions a list takes, and how many items are scored exactly for it."""
        partitions, scored = tf.unstack(entry(self._efforts, k))
        return partitions, scored


def entry(by_length: tf.Variable, k: tf.Tensor) -> tf.Tensor:
    """The entry for lists of `k` items; the last one for those that are longer than all."""
    return tf.gather(by_length, tf.minimum(k, by_length.shape[0] - 1))
