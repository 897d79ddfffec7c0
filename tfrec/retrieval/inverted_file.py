"""What inverted files have in common."""

import abc
import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfrec.retrieval.clustering import nearest, train_centroids
from tfrec.retrieval.probing import ProbingIndex
from tfrec.retrieval.vector_index import check_vectors

_ANY = float(np.finfo(np.float32).max)


class InvertedFile(ProbingIndex, abc.ABC):
    """Items by the partition whose centre they are nearest to, of which a search takes some.

    Partitions far behind a query's nearest one can be left out: many queries have few near ones.

    Attributes:
      partitions: how many there are.
      copies: how many of them hold an item.

    Source: Chen et al., SPANN: Highly-efficient Billion-scale Approximate Nearest Neighbor Search,
    NeurIPS 2021, for leaving partitions out by query.
    """

    def __init__(
        self, embeddings: np.ndarray, partitions: int | None, copies: int, seed: int
    ) -> None:
        """Finds the partitions, and the one that each item is in."""
        check_vectors(embeddings)
        items = len(embeddings)
        super().__init__(items, min(partitions or round(2 * math.sqrt(items)), items))
        self.copies = copies if self.partitions > 1 else 1
        self._reaches = tf.Variable([_ANY], shape=[None], trainable=False)
        centroids = train_centroids(embeddings, self.partitions, seed)
        self._centroids = held(centroids)
        self._owners = held(nearest(embeddings, centroids).astype(np.int32))

    def probe(self, numbers: Sequence[tuple[int, int]], rescored: float) -> None:
        """See `ProbingIndex.probe`; nothing is left out until `prune`."""
        super().probe(numbers, rescored)
        self.prune([_ANY] * len(numbers))

    def prune(self, reaches: Sequence[float]) -> None:
        """Says how far behind the nearest partition others are searched at all.

        Args:
          reaches: for each length given to `probe`, by how much the score of a partition's centre
            may be below the best one's, in standard deviations of all centres' scores. Partitions
            that a list needs to be full are searched all the same.
        """
        self._reaches.assign(reaches)

    def _near(
        self, queries: tf.Tensor, sizes: tf.Tensor, k: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Finds the partitions to search.

        Args:
          queries: `[batch, dim]`.
          sizes: `[partitions]`, items of each.
          k: how many items are wanted.

        Returns:
          bases: `[batch, partitions]`, the scores of all centres.
          partitions: `[batch, n]`, the nearest ones, best first.
          near: `[batch, n]` bool, those to search: the first ones.
        """
        bases = tf.matmul(queries, self._centroids, transpose_b=True)
        scores, partitions = tf.math.top_k(bases, self._partitions_for(k))
        reach = self._for_length(self._reaches, k) * tf.math.reduce_std(bases, 1, keepdims=True)
        before = tf.cumsum(tf.gather(sizes, partitions), 1, exclusive=True)
        filling = before < self._rescored_for(k) * self.copies
        return bases, partitions, filling | (scores >= scores[:, :1] - reach)

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
        wanted = self._partitions_for(k) * -(-self.items // self.partitions)
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
