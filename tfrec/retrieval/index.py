"""What every index answers."""

import abc

import tensorflow as tf

NO_ITEM = -1
"""Stands where a list has no more items, and fills up lists of excluded items."""


class Index(tf.Module, abc.ABC):
    """The catalogue's vectors, searched for those with the largest dot product.

    An index is a `tf.Module`, so it can be part of a SavedModel.
    """

    def __init__(self, items: int) -> None:
        """Holds `items` items, known by their rows `0 ... items - 1`."""
        super().__init__()
        self.items = items

    def search(
        self, queries: tf.Tensor, k: tf.Tensor | int, exclude: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Finds the best items that are not excluded.

        Args:
          queries: `[batch, dim]` float32.
          k: how many items, at most as many as there are.
          exclude: `[batch, n]` int64 rows never to return; `NO_ITEM` fills shorter lists up.

        Returns:
          ids: `[batch, k]` int64 rows, best first; `NO_ITEM` behind the last item that is left.
          scores: `[batch, k]` float32; -inf there.
        """
        if exclude is None:
            return self._nearest(queries, tf.convert_to_tensor(k))
        # Every excluded item may take a place, so that many more are fetched.
        fetch = tf.minimum(k + tf.shape(exclude)[1], self.items)
        ids, scores = self._nearest(queries, fetch)
        banned = tf.reduce_any(ids[:, :, tf.newaxis] == exclude[:, tf.newaxis, :], axis=-1)
        scores = tf.where(banned, -float("inf"), scores)
        scores, places = tf.math.top_k(scores, tf.minimum(k, fetch))
        found = tf.where(tf.math.is_inf(scores), tf.cast(NO_ITEM, ids.dtype),
                         tf.gather(ids, places, batch_dims=1))  # fmt: skip
        return found, scores

    @abc.abstractmethod
    def _nearest(self, queries: tf.Tensor, k: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Finds the best `k` items: rows int64 `[batch, k]` and scores `[batch, k]`."""
