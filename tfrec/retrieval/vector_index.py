"""Searching vectors, whatever the index."""

import abc

import numpy as np
import tensorflow as tf

from tfrec.errors import UserError
from tfrec.retrieval.index import Index, best

_EXACT_BELOW = 4096
_EXACT_SHARE = 0.02


class VectorIndex(Index, abc.ABC):
    """The catalogue's vectors, searched for those with the largest dot product."""

    def search_exact(
        self, queries: tf.Tensor, k: tf.Tensor | int, allowed: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """See `Index.search_exact`."""
        scores = tf.where(allowed, self._scores(queries), -float("inf"))
        rows = tf.broadcast_to(tf.range(self.items, dtype=tf.int64), tf.shape(scores))
        return best(rows, scores, tf.convert_to_tensor(k))

    @abc.abstractmethod
    def _scores(self, queries: tf.Tensor) -> tf.Tensor:
        """The scores of all items: `[batch, dim]` -> `[batch, items]`."""

    @abc.abstractmethod
    def vectors_of(self, rows: tf.Tensor) -> tf.Tensor:
        """The vectors of some items: `[n]` rows -> `[n, dim]` float32."""

    def _nearest_of(
        self, query: tf.Tensor, allowed: tf.Tensor, left: tf.Tensor, k: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Finds allowed items among so many of the nearest that `k` should be among them.

        Args:
          query: `[dim]`.
          allowed: `[items]` bool.
          left: how many items are allowed.
          k: how many are wanted.

        Returns:
          As `_nearest`, of the one query: `[k]` and `[k]`.
        """
        ids, scores = self._nearest(query[tf.newaxis], self._fetched(k, left))
        passed = tf.gather(allowed, tf.maximum(ids, 0)) & (ids >= 0)
        ids, scores = best(ids, tf.where(passed, scores, -float("inf")), k)
        return ids[0], scores[0]

    def _fetched(self, k: tf.Tensor, left: tf.Tensor) -> tf.Tensor:
        """How many nearest items hold `k` allowed ones, and some more, if they lie everywhere."""
        share = tf.cast(left, tf.float32) / self.items
        fetch = tf.cast(tf.math.ceil(1.5 * tf.cast(k, tf.float32) / share), tf.int32)
        return tf.clip_by_value(fetch, k, self.items)

    def _nearest_allowed(
        self, query: tf.Tensor, allowed: tf.Tensor, k: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Searches the index where many items are allowed, and those themselves where few are."""
        left = tf.math.count_nonzero(allowed, dtype=tf.int32)

        def scored() -> tuple[tf.Tensor, tf.Tensor]:
            rows = tf.where(allowed)[:, 0]
            return best(rows, tf.linalg.matvec(self.vectors_of(rows), query), k)

        def exact() -> tuple[tf.Tensor, tf.Tensor]:
            ids, scores = self.search_exact(query[tf.newaxis], k, allowed[tf.newaxis])
            return ids[0], scores[0]

        def searched() -> tuple[tf.Tensor, tf.Tensor]:
            ids, scores = self._nearest_of(query, allowed, left, k)
            enough = tf.math.count_nonzero(ids >= 0, dtype=tf.int32) >= tf.minimum(k, left)
            return tf.cond(enough, lambda: (ids, scores), exact)

        few = max(_EXACT_BELOW, round(_EXACT_SHARE * self.items))
        return tf.cond(left <= few, scored, searched)


def check_vectors(embeddings: np.ndarray) -> None:
    """Refuses what cannot be indexed.

    Args:
      embeddings: `[items, dim]`.

    Raises:
      UserError: if there is no item, or a vector is not finite.
    """
    if not len(embeddings):
        raise UserError("data.items: the catalogue is empty; there is nothing to index")
    bad = np.flatnonzero(~np.isfinite(embeddings).all(axis=1))
    if len(bad):
        raise UserError(
            f"index: {len(bad)} item vectors are not finite, the first in row {bad[0]}; "
            "train again with a lower learning_rate in training.optimizers"
        )
