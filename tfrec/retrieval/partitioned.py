"""Approximate search in stock TensorFlow ops, by a byte for each number of a vector."""

import numpy as np
import tensorflow as tf

from tfrec.retrieval.chunked import CHUNK, Chunked
from tfrec.retrieval.index import NO_ITEM, best
from tfrec.retrieval.inverted_file import held

_LEVELS = 127


class Partitioned(Chunked):
    """An inverted file: partitions, int8 scores within the nearest ones, exact scores for the best.

        score(query, item) ~ query . centre + query . (step * code)

    where `code` is the way from the centre of the item's partition to the item, in int8 steps of a
    length for each dimension. It runs wherever TensorFlow does.

    Source: Jegou, Douze and Schmid, Product Quantization for Nearest Neighbor Search, IEEE TPAMI
    2011, for the inverted file of residuals.
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
        super().__init__(embeddings, partitions, copies, seed)
        owners = np.repeat(np.arange(self.partitions, dtype=np.int32), self._chunks.numpy())
        ways = embeddings[self._rows.numpy()] - self._centroids.numpy()[owners, np.newaxis]
        ways[self._rows.numpy() == NO_ITEM] = 0
        steps = np.maximum(np.abs(ways).max((0, 1)), np.finfo(np.float32).tiny) / _LEVELS
        self._embeddings, self._steps = held(embeddings), held(steps.astype(np.float32))
        self._codes = held(np.rint(ways / steps).astype(np.int8).reshape(len(ways), -1))
        self._chunk_owners = held(owners)

    def _scores(self, queries: tf.Tensor) -> tf.Tensor:
        return tf.matmul(queries, self._embeddings, transpose_b=True)

    def vectors_of(self, rows: tf.Tensor) -> tf.Tensor:
        """See `VectorIndex.vectors_of`."""
        return tf.gather(self._embeddings, rows)

    def _scored(self, query: tf.Tensor, bases: tf.Tensor, chunks: tf.Tensor) -> tf.Tensor:
        codes = tf.cast(tf.gather(self._codes, chunks), tf.float32)
        ways = tf.linalg.matvec(
            tf.reshape(codes, [-1, CHUNK, query.shape[-1]]), query * self._steps
        )
        return ways + tf.gather(bases, tf.gather(self._chunk_owners, chunks))[:, tf.newaxis]

    def _best_of(
        self, query: tf.Tensor, rows: tf.Tensor, scores: tf.Tensor, k: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Scores the best of them exactly."""
        wanted = tf.minimum(self._effort_for(k)[1] * self.copies, tf.size(scores))
        found, places = tf.math.top_k(scores, wanted, sorted=False)
        rows = tf.where(found > -np.inf, tf.gather(rows, places), NO_ITEM)
        if self.copies > 1:
            rows = tf.unique(rows).y
        # A sum, not a product, which TensorFlow would share among its threads.
        exact = tf.reduce_sum(self.vectors_of(tf.maximum(rows, 0)) * query, -1)
        return best(rows, tf.where(rows >= 0, exact, -np.inf), k)
