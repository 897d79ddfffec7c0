"""Choosing among items that a model has scored itself."""

import tensorflow as tf

from tfrec.retrieval.index import Index, best


class Scored(Index):
    """Finds the best items of models that score the whole catalogue.

    In place of a query's vector it takes the scores of all items, float32 `[batch, items]`. An item
    of score -inf is not returned.
    """

    def search_exact(
        self, queries: tf.Tensor, k: tf.Tensor | int, allowed: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """See `Index.search_exact`."""
        return self._nearest(tf.where(allowed, queries, -float("inf")), k)

    def _nearest(self, queries: tf.Tensor, k: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        every = tf.range(self.items, dtype=tf.int64)
        return best(tf.broadcast_to(every, tf.shape(queries, tf.int64)), queries, k)

    def _nearest_allowed(
        self, query: tf.Tensor, allowed: tf.Tensor, k: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        ids, scores = self.search_exact(query[tf.newaxis], k, allowed[tf.newaxis])
        return ids[0], scores[0]
