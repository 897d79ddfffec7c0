"""Approximate search in stock TensorFlow ops, for catalogues whose vectors are soon copied."""

import numpy as np
import tensorflow as tf

from tfrec.retrieval.index import best, filled
from tfrec.retrieval.inverted_file import InvertedFile, held

_TOGETHER = 64


class PartitionedFlat(InvertedFile):
    """An inverted file whose partitions hold the vectors themselves, so that scores are exact.

    It searches for all queries of a batch at once, without a loop: what a partition takes is a few
    operations' fixed cost and the copying of its vectors. In a small catalogue that is less than
    the loops of `Partitioned` take; in a large one the four times as many bytes are more.

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
        super().__init__(embeddings, partitions, 1, seed)
        owners = self._owners.numpy()
        order = np.argsort(owners, kind="stable")
        sizes = np.bincount(owners, minlength=self.partitions)
        self._rows, self._vectors = held(order), held(embeddings[order])
        self._places = held(np.argsort(order).astype(np.int32))
        self._sizes = held(sizes.astype(np.int32))
        self._first = held((np.cumsum(sizes) - sizes).astype(np.int32))

    def _nearest(self, queries: tf.Tensor, k: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        count = tf.shape(queries)[0]
        return tf.cond(
            count <= _TOGETHER,
            lambda: self._nearest_together(queries, k),
            lambda: self._nearest_in_turn(queries, k, count),
        )

    def _nearest_in_turn(
        self, queries: tf.Tensor, k: tf.Tensor, count: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Searches for some queries after the others: all together would fill the memory."""
        turns = -(-count // _TOGETHER)
        kinds = tf.int64, tf.float32
        found = [
            tf.TensorArray(kind, turns, infer_shape=False, element_shape=[None, None])
            for kind in kinds
        ]

        def search(turn: tf.Tensor, ids: tf.TensorArray, scores: tf.TensorArray) -> tuple:
            some = queries[turn * _TOGETHER : (turn + 1) * _TOGETHER]
            parts = self._nearest_together(some, k)
            return turn + 1, ids.write(turn, parts[0]), scores.write(turn, parts[1])

        _, ids, scores = tf.while_loop(lambda turn, *_: turn < turns, search, (0, *found))
        return ids.concat(), scores.concat()

    def _nearest_together(self, queries: tf.Tensor, k: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        _, partitions, near = self._near(queries, self._sizes, k)
        sizes = tf.where(near, tf.gather(self._sizes, partitions), 0)
        first = tf.gather(self._first, partitions)
        places = tf.ragged.range(tf.reshape(first, [-1]), tf.reshape(first + sizes, [-1])).values
        each = tf.reduce_sum(sizes, 1)
        asked = tf.repeat(queries, each, axis=0)
        scores = tf.reduce_sum(tf.gather(self._vectors, places) * asked, 1)
        ends = tf.cumsum(each)
        by_query = tf.RaggedTensor.from_row_limits(scores, ends, validate=False)
        listed = by_query.to_tensor(-np.inf)
        found, columns = tf.math.top_k(listed, tf.minimum(k, tf.shape(listed)[1]))
        within = tf.minimum(columns + (ends - each)[:, tf.newaxis], tf.size(places) - 1)
        rows = tf.gather(self._rows, tf.gather(places, within))
        return filled(rows, found, k)

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
