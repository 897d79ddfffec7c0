"""Exact search."""

import numpy as np
import tensorflow as tf

from tfrec.retrieval.vector_index import VectorIndex, check_vectors


class BruteForce(VectorIndex):
    """Scores every item: exact, in stock TensorFlow ops, in time that grows with the catalogue."""

    def __init__(self, embeddings: np.ndarray | tf.Tensor) -> None:
        """Holds `embeddings`, `[items, dim]` float32 by row of the catalogue.

        Raises:
          UserError: if there is no item, or a vector is not finite.
        """
        super().__init__(int(embeddings.shape[0]))
        check_vectors(np.asarray(embeddings))
        self._embeddings = tf.Variable(embeddings, trainable=False)

    def _nearest(self, queries: tf.Tensor, k: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        scores, ids = tf.math.top_k(self._scores(queries), k)
        return tf.cast(ids, tf.int64), scores

    def _nearest_of(
        self, query: tf.Tensor, allowed: tf.Tensor, left: tf.Tensor, k: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        ids, scores = self.search_exact(query[tf.newaxis], k, allowed[tf.newaxis])
        return ids[0], scores[0]

    def _scores(self, queries: tf.Tensor) -> tf.Tensor:
        return tf.matmul(queries, self._embeddings, transpose_b=True)

    def vectors_of(self, rows: tf.Tensor) -> tf.Tensor:
        """See `VectorIndex.vectors_of`."""
        return tf.gather(self._embeddings, rows)
