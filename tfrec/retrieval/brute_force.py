"""Exact search."""

import tensorflow as tf

from tfrec.retrieval.index import Index


class BruteForce(Index):
    """Scores every item: exact, in stock TensorFlow ops, in time that grows with the catalogue."""

    def __init__(self, embeddings: tf.Tensor) -> None:
        """Holds `embeddings`, `[items, dim]` float32 by row of the catalogue."""
        super().__init__(int(embeddings.shape[0]))
        self._embeddings = tf.Variable(embeddings, trainable=False)

    def _nearest(self, queries: tf.Tensor, k: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        scores, ids = tf.math.top_k(tf.matmul(queries, self._embeddings, transpose_b=True), k)
        return tf.cast(ids, tf.int64), scores
