"""A batch of transformed features as one vector per row."""

from collections.abc import Mapping
from collections.abc import Sequence as Names

import tensorflow as tf
import tf_keras

from tfrec.embeddings.table import EmbeddingTable
from tfrec.features import Categorical, FeatureSpec, Sequence
from tfrec.features.plan import Table

Features = Mapping[str, tf.Tensor | tf.RaggedTensor]


def embedding_tables(plan: Mapping[str, Table]) -> dict[str, EmbeddingTable]:
    """Makes the tables of a plan.

    Args:
      plan: feature -> table; see `embedding_plan`.

    Returns:
      Feature -> table.
    """
    return {
        name: EmbeddingTable(table.rows, table.dim, table.unknown_rows, name=name)
        for name, table in plan.items()
    }


class FeatureEmbedding(tf_keras.layers.Layer):
    """Looks features up in their tables and concatenates what is found with numbers and vectors.

    In training each category hides its value in a share of the rows (`unknown_share`), which
    teaches the unknown rows to stand for shoppers and items that are not known yet.
    """

    def __init__(
        self, spec: FeatureSpec, names: Names[str], tables: Mapping[str, EmbeddingTable]
    ) -> None:
        """Embeds the features `names`, in that order, with `tables`."""
        super().__init__()
        self._spec, self._names, self._tables = spec, tuple(names), dict(tables)

    def call(self, features: Features, training: bool = False) -> tf.Tensor:
        """Embeds a batch.

        Args:
          features: name -> what `preprocessing_fn` makes of it, with ragged for sparse: rows of a
            table, int64 `[batch]`; lists of them, ragged `[batch, values]`; numbers, float32
            `[batch]`; or vectors, float32 `[batch, dim]`.
          training: whether to hide values.

        Returns:
          `[batch, floats]` float32: a row, the mean of a list's rows, a number or a vector of each
          feature, side by side.
        """
        return tf.concat([self._embed(name, features[name], training) for name in self._names], -1)

    def _embed(self, name: str, column: tf.Tensor | tf.RaggedTensor, training: bool) -> tf.Tensor:
        feature = self._spec[name]
        table = self._tables.get(feature.of if isinstance(feature, Sequence) else name)
        if table is None:
            return column[:, tf.newaxis] if column.shape.rank == 1 else column
        if training and isinstance(feature, Categorical) and feature.unknown_share > 0:
            column = _hide(column, feature.unknown_share, table)
        return table(column)


def _hide(ids: tf.Tensor, share: float, table: EmbeddingTable) -> tf.Tensor:
    """Puts an unknown row, any of them, in the place of a share of `[batch]` rows."""
    hidden = tf.random.uniform(tf.shape(ids)) < share
    known = table.rows - table.unknown_rows
    unknown = tf.random.uniform(tf.shape(ids), known, table.rows, ids.dtype)
    return tf.where(hidden, unknown, ids)
