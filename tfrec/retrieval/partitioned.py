"""Approximate search in stock TensorFlow ops."""

import math

import numpy as np
import tensorflow as tf

from tfrec.retrieval.clustering import nearest, second_nearest, train_centroids
from tfrec.retrieval.index import NO_ITEM, best
from tfrec.retrieval.probing import ProbingIndex
from tfrec.retrieval.vector_index import check_vectors

_CHUNK = 16
_LEVELS = 127


class Partitioned(ProbingIndex):
    """An inverted file: partitions, int8 scores within the nearest ones, exact scores for the best.

        score(query, item) ~ query . centre + query . (step * code)

    where `code` is the way from the centre of the item's partition to the item, in int8 steps of a
    length for each dimension. Items of a partition lie side by side in chunks, so that a search
    copies long stretches of memory. It runs wherever TensorFlow does.

    Attributes:
      partitions: how many there are.
      copies: how many of them hold an item.

    Source: Jegou, Douze and Schmid, Product Quantization for Nearest Neighbor Search, IEEE TPAMI
    2011, for the inverted file of residuals; `second_nearest` for the second partition.
    """

    def __init__(
        self, embeddings: np.ndarray, partitions: int | None = None, copies: int = 1, seed: int = 0
    ) -> None:
        """Builds the index.

        Args:
          embeddings: `[items, dim]` float32 by row of the catalogue.
          partitions: how many; by default about twice the root of the number of items.
          copies: 1, or 2 to keep each item in a second partition too.
          seed: of the partitions.

        Raises:
          UserError: if there is no item, or a vector is not finite.
        """
        check_vectors(embeddings)
        items = len(embeddings)
        super().__init__(items, min(partitions or round(2 * math.sqrt(items)), items))
        self.copies = copies if self.partitions > 1 else 1
        centroids = train_centroids(embeddings, self.partitions, seed)
        owners = [nearest(embeddings, centroids)]
        if self.copies == 2:
            owners.append(second_nearest(embeddings, centroids, owners[0]))
        self._embeddings, self._owners = _held(embeddings), _held(owners[0].astype(np.int32))
        self._centroids = _held(centroids)
        self._lay_out(embeddings, centroids, np.stack(owners))

    def _lay_out(self, embeddings: np.ndarray, centroids: np.ndarray, owners: np.ndarray) -> None:
        """Puts the items of each partition side by side, in whole chunks."""
        order = np.argsort(owners, axis=None, kind="stable")
        rows, sorted_owners = order % self.items, owners.ravel()[order]
        sizes = np.bincount(sorted_owners, minlength=self.partitions)
        chunks = -(-sizes // _CHUNK)
        first = np.cumsum(chunks) - chunks
        within = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        places = first[sorted_owners] * _CHUNK + within
        steps, codes = _quantised(embeddings, centroids, rows, sorted_owners)
        laid_out = np.zeros((chunks.sum() * _CHUNK, embeddings.shape[1]), np.int8)
        laid_out[places] = codes
        item_rows = np.full(len(laid_out), NO_ITEM, np.int32)
        item_rows[places] = rows
        self._steps = _held(steps)
        self._codes = _held(laid_out.reshape(len(laid_out) // _CHUNK, -1))
        self._rows = _held(item_rows.reshape(-1, _CHUNK))
        self._first, self._chunks = _held(first.astype(np.int32)), _held(chunks.astype(np.int32))

    def _nearest(self, queries: tf.Tensor, k: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        bases, partitions = self._probe(queries, k)
        return tf.map_fn(
            lambda one: self._search(one[0], one[1], one[2], k),
            (queries, bases, partitions),
            fn_output_signature=(tf.int64, tf.float32),
        )

    def _nearest_of(
        self, query: tf.Tensor, allowed: tf.Tensor, left: tf.Tensor, k: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Searches partitions until they hold as many allowed items as a search holds items."""
        there = tf.math.unsorted_segment_sum(
            tf.cast(allowed, tf.int32), self._owners, self.partitions
        )
        scores = tf.linalg.matvec(self._centroids, query)
        scores, partitions = tf.math.top_k(tf.where(there > 0, scores, -np.inf), self.partitions)
        before = tf.cumsum(tf.gather(there, partitions), exclusive=True)
        wanted = self._partitions_for(k) * -(-self.items // self.partitions)
        number = tf.math.count_nonzero(before < tf.minimum(wanted, left), dtype=tf.int32)
        return self._search(query, scores[:number], partitions[:number], k, allowed)

    def _scores(self, queries: tf.Tensor) -> tf.Tensor:
        return tf.matmul(queries, self._embeddings, transpose_b=True)

    def _vectors_of(self, rows: tf.Tensor) -> tf.Tensor:
        return tf.gather(self._embeddings, rows)

    def _probe(self, queries: tf.Tensor, k: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Chooses partitions for `k` items: the centres' scores and numbers, `[batch, probed]`."""
        scores = tf.matmul(queries, self._centroids, transpose_b=True)
        return tf.math.top_k(scores, self._partitions_for(k), sorted=False)

    def _search(
        self,
        query: tf.Tensor,
        bases: tf.Tensor,
        partitions: tf.Tensor,
        k: tf.Tensor,
        allowed: tf.Tensor | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Finds the best allowed items of some partitions for one query."""
        first, count = tf.gather(self._first, partitions), tf.gather(self._chunks, partitions)
        chunks = tf.ragged.range(first, first + count).values
        codes = tf.cast(tf.gather(self._codes, chunks), tf.float32)
        scores = tf.linalg.matvec(tf.reshape(codes, [-1, query.shape[-1]]), query * self._steps)
        scores = tf.reshape(scores, [-1, _CHUNK]) + tf.repeat(bases, count)[:, tf.newaxis]
        rows = tf.gather(self._rows, chunks)
        fits = rows >= 0
        if allowed is not None:
            fits &= tf.gather(allowed, tf.maximum(rows, 0))
        scores = tf.where(fits, scores, -np.inf)
        rows = self._candidates(rows, scores, k)
        return best(rows, tf.linalg.matvec(self._vectors_of(rows), query), k)

    def _candidates(self, rows: tf.Tensor, scores: tf.Tensor, k: tf.Tensor) -> tf.Tensor:
        """The distinct rows of the best of scores `[chunks, items]`, to be scored exactly."""
        wanted = self._rescored_for(k) * self.copies
        # As many chunks hold them all: those with the best item. Most are out before any sorting.
        heads = tf.reduce_max(scores, 1)
        _, chunks = tf.math.top_k(heads, tf.minimum(wanted, tf.size(heads)), sorted=False)
        left = tf.reshape(tf.gather(scores, chunks), [-1])
        found, places = tf.math.top_k(left, tf.minimum(wanted, tf.size(left)), sorted=False)
        candidates = tf.gather(tf.reshape(tf.gather(rows, chunks), [-1]), places)
        candidates = tf.boolean_mask(candidates, found > -np.inf)
        if self.copies > 1:
            candidates = tf.unique(candidates).y
        return tf.cast(candidates, tf.int64)


def _quantised(
    embeddings: np.ndarray, centroids: np.ndarray, rows: np.ndarray, owners: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The ways from centres to items: the length of a step, `[dim]`, and int8 `[rows, dim]`."""
    ways = embeddings[rows] - centroids[owners]
    steps = np.maximum(np.abs(ways).max(0), np.finfo(np.float32).tiny) / _LEVELS
    return steps.astype(np.float32), np.rint(ways / steps).astype(np.int8)


def _held(values: np.ndarray) -> tf.Variable:
    return tf.Variable(values, trainable=False)
