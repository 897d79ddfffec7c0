"""A batch of transformed features as one vector per row."""

from collections.abc import Mapping, Sequence

import tensorflow as tf
import tf_keras

from tfrec.embeddings.table import EmbeddingTable
from tfrec.features import FeatureSpec

Features = Mapping[str, tf.Tensor | tf.RaggedTensor]


def embedding_tables(spec: FeatureSpec, rows: Mapping[str, int]) -> dict[str, EmbeddingTable]:
    """Makes a table for each categorical feature; sequences share the one they are `of`.

    Args:
      spec: the features.
      rows: feature -> rows of its table.

    Returns:
      Feature -> table.
    """
    return {
        name: EmbeddingTable(rows[name], feature.embedding, name=name)
        for name, feature in spec.categories.items()
    }


class FeatureEmbedding(tf_keras.layers.Layer):
    """Looks features up in their tables and concatenates what is found.

    In training each category hides its value in a share of the rows (`unknown_share`), which
    teaches the out-of-vocabulary row to stand for shoppers and items that are not known yet.
    """

    def __init__(
        self, spec: FeatureSpec, names: Sequence[str], tables: Mapping[str, EmbeddingTable]
    ) -> None:
        """Embeds the features `names`, in that order, with `tables`."""
        super().__init__()
        self._spec, self._names, self._tables = spec, tuple(names), dict(tables)

    def call(self, features: Features, training: bool = False) -> tf.Tensor:
        """Embeds a batch.

        Args:
          features: name -> int64 `[batch]`, or ragged `[batch, values]` for a sequence.
          training: whether to hide values.

        Returns:
          `[batch, sum of dims]`.
        """
        return tf.concat([self._embed(name, features[name], training) for name in self._names], -1)

    def _embed(self, name: str, ids: tf.Tensor | tf.RaggedTensor, training: bool) -> tf.Tensor:
        sequence = self._spec.sequences.get(name)
        if sequence:
            return self._tables[sequence.of](ids)
        table, share = self._tables[name], self._spec.categories[name].unknown_share
        if training and share > 0:
            hidden = tf.random.uniform(tf.shape(ids)) < share
            ids = tf.where(hidden, tf.constant(table.rows - 1, ids.dtype), ids)
        return table(ids)
