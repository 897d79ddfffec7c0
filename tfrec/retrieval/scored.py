"""Choosing among items that a model has scored itself."""

import tensorflow as tf

from tfrec.retrieval.index import Index


class Scored(Index):
    """Finds the best items of models that score the whole catalogue.

    In place of a query's vector it takes the scores of all items, float32 `[batch, items]`. An item
    of score -inf is not returned.
    """

    def _nearest(self, queries: tf.Tensor, k: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        scores, ids = tf.math.top_k(queries, k)
        return tf.cast(ids, tf.int64), scores
