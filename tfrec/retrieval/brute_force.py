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
        scores, ids = tf.math.top_k(tf.matmul(queries, self._embeddings, transpose_b=True), k)
        return tf.cast(ids, tf.int64), scores

    def _vectors_of(self, rows: tf.Tensor) -> tf.Tensor:
        return tf.gather(self._embeddings, rows)

    def _fetched(self, k: tf.Tensor, left: tf.Tensor) -> tf.Tensor:
        return tf.constant(self.items)
