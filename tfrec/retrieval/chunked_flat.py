"""Approximate search in stock TensorFlow ops, by vectors in chunks."""

import numpy as np
import tensorflow as tf

from tfrec.retrieval.chunked import CHUNK, Chunked
from tfrec.retrieval.inverted_file import held


class ChunkedFlat(Chunked):
    """An inverted file whose chunks hold the vectors themselves, so that scores are exact.

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
        super().__init__(embeddings, partitions, copies=1, seed=seed)
        rows = self._rows.numpy()
        places = np.flatnonzero(rows >= 0)
        self._places = held(places[np.argsort(rows[rows >= 0])].astype(np.int32))
        vectors = np.where(rows[..., np.newaxis] >= 0, embeddings[rows], np.float32(0))
        self._vectors = held(vectors.reshape(len(rows), -1))

    def _scores(self, queries: tf.Tensor) -> tf.Tensor:
        scores = tf.matmul(queries, self._in_places, transpose_b=True)
        return tf.gather(scores, self._places, axis=1)

    def vectors_of(self, rows: tf.Tensor) -> tf.Tensor:
        """See `VectorIndex.vectors_of`."""
        return tf.gather(self._in_places, tf.gather(self._places, rows))

    @property
    def _in_places(self) -> tf.Tensor:
        return tf.reshape(self._vectors, [-1, self._centroids.shape[1]])

    def _scored(self, query: tf.Tensor, bases: tf.Tensor, chunks: tf.Tensor) -> tf.Tensor:
        vectors = tf.reshape(tf.gather(self._vectors, chunks), [-1, CHUNK, query.shape[-1]])
        return tf.linalg.matvec(vectors, query)
