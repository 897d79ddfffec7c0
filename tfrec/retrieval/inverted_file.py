"""What inverted files have in common."""

import abc
import math

import numpy as np
import tensorflow as tf

from tfrec.retrieval.clustering import nearest, train_centroids
from tfrec.retrieval.probing import ProbingIndex
from tfrec.retrieval.vector_index import check_vectors


class InvertedFile(ProbingIndex, abc.ABC):
    """Items by the partition whose centre they are nearest to, of which a search takes some.

    Attributes:
      partitions: how many there are.
    """

    def __init__(self, embeddings: np.ndarray, partitions: int | None, seed: int) -> None:
        """Finds the partitions, and the one that each item is in."""
        check_vectors(embeddings)
        items = len(embeddings)
        super().__init__(items, min(partitions or round(2 * math.sqrt(items)), items))
        centroids = train_centroids(embeddings, self.partitions, seed)
        self._centroids = held(centroids)
        self._owners = held(nearest(embeddings, centroids).astype(np.int32))

    def _nearest_of(
        self, query: tf.Tensor, allowed: tf.Tensor, left: tf.Tensor, k: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Searches partitions until they hold as many allowed items as a search holds items."""
        there = tf.math.unsorted_segment_sum(
            tf.cast(allowed, tf.int32), self._owners, self.partitions
        )
        bases = tf.linalg.matvec(self._centroids, query)
        _, partitions = tf.math.top_k(tf.where(there > 0, bases, -np.inf), self.partitions)
        before = tf.cumsum(tf.gather(there, partitions), exclusive=True)
        wanted = self._effort_for(k)[0] * -(-self.items // self.partitions)
        number = tf.math.count_nonzero(before < tf.minimum(wanted, left), dtype=tf.int32)
        return self._search(query, bases, partitions[:number], k, allowed)

    @abc.abstractmethod
    def _search(
        self,
        query: tf.Tensor,
        bases: tf.Tensor,
        partitions: tf.Tensor,
        k: tf.Tensor,
        allowed: tf.Tensor | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Finds the best allowed items of some partitions for one query.

        Args:
          query: `[dim]`.
          bases: `[partitions]`, the scores of all centres.
          partitions: `[n]`, those to search.
          k: how many items are wanted.
          allowed: `[items]` bool; by default all are.

        Returns:
          As `_nearest`, of the one query: `[k]` and `[k]`.
        """


def held(values: np.ndarray) -> tf.Variable:
    """Values that are saved with the index."""
    return tf.Variable(values, trainable=False)
