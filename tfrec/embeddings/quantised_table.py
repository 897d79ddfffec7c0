"""A trained table in fewer bytes."""

import numpy as np
import tensorflow as tf
import tf_keras

from tfrec.embeddings.quantised import Precision, Quantised, dequantise, quantise
from tfrec.embeddings.table import GroupTable

_ROWS_TOGETHER = 100_000


class QuantisedTable(tf_keras.layers.Layer):
    """Rows of a `GroupTable` in half precision or in bytes; who asks for some gets them in float32.

    In bytes each row has a scale of its own: rows of frequent and of rare items, whose lengths
    differ widely, keep the same relative precision.
    """

    def __init__(self, table: GroupTable, precision: Precision) -> None:
        """Takes the rows of a table, a piece at a time."""
        super().__init__(name=f"{table.name}_{precision}", trainable=False)
        parts = [
            quantise(shard[first : first + _ROWS_TOGETHER].numpy(), precision, axis=0)
            for shard in table.shards
            for first in range(0, shard.shape[0], _ROWS_TOGETHER)
        ]
        values, scales = _joined(parts)
        self._rows = tf.Variable(values, trainable=False, name="rows")
        self._scales = None if scales is None else tf.Variable(scales, trainable=False)

    def call(self, places: tf.Tensor) -> tf.Tensor:
        """Fetches rows, and converts these alone.

        Args:
          places: `[distinct]` int64 rows of the table.

        Returns:
          `[distinct, dim]` float32.
        """
        rows = tf.gather(self._rows, places)
        if self._scales is None:
            return dequantise(rows, None)
        return dequantise(rows, tf.gather(self._scales, places)[:, tf.newaxis])


def _joined(parts: list[Quantised]) -> tuple[np.ndarray, np.ndarray | None]:
    values = np.concatenate([part.values for part in parts])
    scales = [part.scales for part in parts if part.scales is not None]
    return values, np.concatenate(scales) if scales else None
