"""An index as a SavedModel."""

from pathlib import Path

import tensorflow as tf

from tfrec.retrieval.index import Index
from tfrec.retrieval.vector_index import VectorIndex


def save_index(built: Index, dim: int, path: Path) -> None:
    """Saves an index with its functions `search`, `search_allowed` and `search_exact`.

    An index of vectors has `vectors_of` besides, of `[n]` int64 rows.

    Args:
      built: the index.
      dim: floats of a query; the number of items where the queries are scores.
      path: directory to write.
    """
    module = tf.Module()
    module.index = built
    queries, k = tf.TensorSpec([None, dim], tf.float32), tf.TensorSpec([], tf.int32)
    excluded = tf.TensorSpec([None, None], tf.int64)
    allowed = tf.TensorSpec([None, built.items], tf.bool)
    module.search = tf.function(built.search, input_signature=[queries, k, excluded])
    module.search_allowed = tf.function(built.search_allowed, input_signature=[queries, k, allowed])
    module.search_exact = tf.function(built.search_exact, input_signature=[queries, k, allowed])
    if isinstance(built, VectorIndex):
        rows = tf.TensorSpec([None], tf.int64)
        module.vectors_of = tf.function(built.vectors_of, input_signature=[rows])
    tf.saved_model.save(
        module, str(path), options=tf.saved_model.SaveOptions(namespace_whitelist=["Scann"])
    )
