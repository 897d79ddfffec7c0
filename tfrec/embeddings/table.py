"""One embedding table, sharded wherever the strategy in scope shards variables."""

import tensorflow as tf
import tf_keras


class EmbeddingTable(tf_keras.layers.Layer):
    """Rows of trainable floats; every distinct row is fetched once a step.

    Under `ParameterServerStrategy` with a partitioner the table is spread over the servers, and a
    worker asks them only for the distinct rows of its batch.
    """

    def __init__(self, rows: int, dim: int, unknown_rows: int = 0, name: str | None = None) -> None:
        """Describes a table.

        Args:
          rows: all of them.
          dim: floats of each.
          unknown_rows: how many of them, the last ones, stand for unknown and missing values.
          name: of the layer.
        """
        super().__init__(name=name)
        self.rows = rows
        self.dim = dim
        self.unknown_rows = unknown_rows

    def build(self, _: tf.TensorShape) -> None:
        """Makes the variable, uniformly random around zero."""
        self._table = self.add_weight(
            "table",
            [self.rows, self.dim],
            initializer=tf_keras.initializers.RandomUniform(-0.05, 0.05),
        )
        super().build(_)

    def call(self, ids: tf.Tensor | tf.RaggedTensor) -> tf.Tensor:
        """Looks rows up.

        Args:
          ids: `[batch]` int64 rows, or ragged `[batch, values]`.

        Returns:
          `[batch, dim]`: the row, or the mean of a list's rows; zeros for an empty list.
        """
        if isinstance(ids, tf.RaggedTensor):
            distinct, position = tf.unique(ids.flat_values)
            rows = tf.nn.embedding_lookup(self._table, distinct)  # [distinct, dim]
            return tf.sparse.segment_mean(
                rows, position, ids.value_rowids(), num_segments=ids.nrows()
            )
        distinct, position = tf.unique(ids)
        return tf.gather(tf.nn.embedding_lookup(self._table, distinct), position)
