"""Approximate search in stock TensorFlow ops, for catalogues whose vectors are soon copied."""

import math

import numpy as np
import tensorflow as tf

from tfrec.retrieval.index import NO_ITEM, best
from tfrec.retrieval.inverted_file import InvertedFile, held

_PIECES = 8


class PartitionedFlat(InvertedFile):
    """An inverted file whose partitions hold the vectors themselves, so that scores are exact.

    It searches for all queries of a batch at once, without a loop: a search takes a few operations'
    fixed cost and the copying of the vectors that are scored. In a small catalogue that is less
    than the loops of `Partitioned` take; in a large one the four times as many bytes are more.

    Source: Jegou, Douze and Schmid, Product Quantization for Nearest Neighbor Search, IEEE TPAMI
    2011, for the inverted file.
    """

    def __init__(
        self, embeddings: np.ndarray, partitions: int | None = None, seed: int = 0
    ) -> None:
        """Builds the index.

        Args:
          embeddings: `[items, dim]` float32 by row of the catalogue.
          partitions: how many; by default about twice the root of the number of items.
          seed: of the partitions.

        Raises:
          UserError: if there is no item, or a vector is not finite.
        """
        super().__init__(embeddings, partitions, seed)
        owners = self._owners.numpy()
        order = np.argsort(owners, kind="stable")
        sizes = np.bincount(owners, minlength=self.partitions)
        self._places = held(np.argsort(order).astype(np.int32))
        self._first = held(np.append(0, np.cumsum(sizes)).astype(np.int32))
        self._pieces = math.gcd(self.partitions, _PIECES)
        # The place behind the last item is that of no item, and fills lists up.
        self._rows = held(np.append(order, NO_ITEM))
        self._vectors = held(np.append(embeddings[order], np.zeros_like(embeddings[:1]), 0))

    def _nearest(self, queries: tf.Tensor, k: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        count = tf.shape(queries)[0]
        # TensorFlow shares a large product among its threads, and to wake them takes longer than a
        # single query's products do. Several small products it works out where it is.
        pieces = tf.where(count > 1, 1, self._pieces)
        centroids = tf.reshape(self._centroids, [pieces, -1, self._centroids.shape[1]])
        bases = tf.matmul(queries[tf.newaxis], centroids, transpose_b=True)
        bases = tf.reshape(bases, [count, self.partitions])
        # Best first, since `top_k` is the faster, the fewer items are better than those before.
        _, partitions = tf.math.top_k(bases, self._effort_for(k)[0])
        places = self._listed(partitions, k)
        parts = tf.reshape(places, [count, pieces, tf.shape(places)[1] // pieces])
        scores = tf.matmul(tf.gather(self._vectors, parts), queries[:, tf.newaxis, :, tf.newaxis])
        scores = tf.where(places < self.items, tf.reshape(scores, tf.shape(places)), -np.inf)
        scores, columns = tf.math.top_k(scores, k)
        return tf.gather(self._rows, tf.gather(places, columns, batch_dims=1)), scores

    def _listed(self, partitions: tf.Tensor, k: tf.Tensor) -> tf.Tensor:
        """The places of some partitions' items, `[batch, n]`, at least `k` and in whole pieces."""
        found = self._places_in(tf.reshape(partitions, [-1]))
        ends = found.row_splits[:: tf.shape(partitions)[1]]
        listed = tf.RaggedTensor.from_row_splits(found.values, ends, validate=False)
        places = listed.to_tensor(self.items)
        width = tf.shape(places)[1]
        room = (tf.maximum(width, k) + self._pieces - 1) // self._pieces * self._pieces
        return tf.pad(places, [[0, 0], [0, room - width]], constant_values=self.items)

    def _search(
        self,
        query: tf.Tensor,
        bases: tf.Tensor,
        partitions: tf.Tensor,
        k: tf.Tensor,
        allowed: tf.Tensor | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        places = self._places_in(partitions).values
        rows = tf.gather(self._rows, places)
        scores = tf.linalg.matvec(tf.gather(self._vectors, places), query)
        if allowed is not None:
            scores = tf.where(tf.gather(allowed, rows), scores, -np.inf)
        return best(rows, scores, k)

    def _places_in(self, partitions: tf.Tensor) -> tf.RaggedTensor:
        return tf.ragged.range(
            tf.gather(self._first, partitions), tf.gather(self._first, partitions + 1)
        )

    def _scores(self, queries: tf.Tensor) -> tf.Tensor:
        scores = tf.matmul(queries, self._vectors, transpose_b=True)
        return tf.gather(scores, self._places, axis=1)

    def vectors_of(self, rows: tf.Tensor) -> tf.Tensor:
        """See `VectorIndex.vectors_of`."""
        return tf.gather(self._vectors, tf.gather(self._places, rows))
