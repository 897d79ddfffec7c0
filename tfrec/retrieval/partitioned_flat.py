"""Approximate search in stock TensorFlow ops, for catalogues whose vectors are soon copied."""

import numpy as np
import tensorflow as tf

from tfrec.retrieval.index import best, filled
from tfrec.retrieval.inverted_file import InvertedFile, held


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
        self._rows, self._vectors = held(order), held(embeddings[order])
        self._places = held(np.argsort(order).astype(np.int32))
        self._sizes = held(sizes.astype(np.int32))
        self._first = held((np.cumsum(sizes) - sizes).astype(np.int32))

    def _nearest(self, queries: tf.Tensor, k: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        bases = tf.matmul(queries, self._centroids, transpose_b=True)
        _, partitions = tf.math.top_k(bases, self._partitions_for(k), sorted=False)
        first = tf.reshape(tf.gather(self._first, partitions), [-1])
        sizes = tf.reshape(tf.gather(self._sizes, partitions), [-1])
        found = tf.ragged.range(first, first + sizes)
        ends = found.row_splits[:: tf.shape(partitions)[1]]
        listed = tf.RaggedTensor.from_row_splits(found.values, ends, validate=False).to_tensor(-1)
        places = tf.maximum(listed, 0)
        scores = tf.linalg.matvec(tf.gather(self._vectors, places), queries)
        scores = tf.where(listed >= 0, scores, -np.inf)
        scores, columns = tf.math.top_k(scores, tf.minimum(k, tf.shape(scores)[1]))
        rows = tf.gather(self._rows, tf.gather(places, columns, batch_dims=1))
        return filled(rows, scores, k)

    def _search(
        self,
        query: tf.Tensor,
        bases: tf.Tensor,
        partitions: tf.Tensor,
        k: tf.Tensor,
        allowed: tf.Tensor | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        first, sizes = tf.gather(self._first, partitions), tf.gather(self._sizes, partitions)
        places = tf.ragged.range(first, first + sizes).values
        rows = tf.gather(self._rows, places)
        scores = tf.linalg.matvec(tf.gather(self._vectors, places), query)
        if allowed is not None:
            scores = tf.where(tf.gather(allowed, rows), scores, -np.inf)
        return best(rows, scores, k)

    def _scores(self, queries: tf.Tensor) -> tf.Tensor:
        scores = tf.matmul(queries, self._vectors, transpose_b=True)
        return tf.gather(scores, self._places, axis=1)

    def vectors_of(self, rows: tf.Tensor) -> tf.Tensor:
        """See `VectorIndex.vectors_of`."""
        return tf.gather(self._vectors, tf.gather(self._places, rows))
