"""The variable of a group of embedding tables, sharded wherever the strategy in scope says so."""

import itertools

import tensorflow as tf
import tf_keras

from tfrec.embeddings.fetching import fetch

LIMIT = 0.05
"""Initial values lie between minus this and this."""


class GroupTable(tf_keras.layers.Layer):
    """Rows of trainable floats.

    Under `ParameterServerStrategy` a large one is spread over the servers, the first rows on the
    first. Each server draws the initial values of its own rows, and a worker asks for the rows of
    its batch only.
    """

    def __init__(self, rows: int, dim: int, name: str | None = None) -> None:
        """Describes the variable: `rows` of `dim` floats."""
        # Tables stay float32 under mixed precision; they would be cast as a whole otherwise.
        super().__init__(name=name, dtype="float32")
        self.rows = rows
        self.dim = dim

    def build(self, _: tf.TensorShape) -> None:
        """Makes the variable, uniformly random around zero."""
        self._table = self.add_weight(
            "table",
            [self.rows, self.dim],
            initializer=_draw,
        )
        super().build(_)

    @property
    def shards(self) -> list[tf.Variable]:
        """The parts of the variable, first rows first."""
        return list(getattr(self._table, "variables", [self._table]))

    def call(self, places: tf.Tensor) -> tf.Tensor:
        """Fetches rows.

        Args:
          places: `[distinct]` int64 rows of the variable, each once.

        Returns:
          `[distinct, dim]` float32.
        """
        if len(self.shards) == 1:
            return fetch(self.shards[0], places)
        ends = list(itertools.accumulate(shard.shape[0] for shard in self.shards))
        owner = tf.searchsorted(tf.constant(ends, tf.int64), places, side="right")
        order = tf.dynamic_partition(tf.range(tf.size(places)), owner, len(ends))
        asked = tf.dynamic_partition(places, owner, len(ends))
        fetched = [
            fetch(shard, own - first)
            for shard, own, first in zip(self.shards, asked, [0, *ends], strict=False)
        ]
        return tf.reshape(tf.dynamic_stitch(order, fetched), [-1, self.dim])


def _draw(
    shape: tf.TensorShape,
    dtype: tf.DType,
    partition_shape: tf.TensorShape | None = None,
    partition_offset: tf.TensorShape | None = None,
) -> tf.Tensor:
    """Draws the initial values of a table, or of the part of it that a server holds."""
    # A graph would go on with the numbers of its last call, whatever seed was set since.
    seed = tf.random.uniform([2], maxval=tf.int32.max, dtype=tf.int32)
    return _uniform(shape if partition_shape is None else partition_shape, seed)


# In a graph numbers are scaled in their place; in eager steps a table would be there three times.
@tf.function(autograph=False)
def _uniform(shape: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    return tf.random.stateless_uniform(shape, seed, -LIMIT, LIMIT)
