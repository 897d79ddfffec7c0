"""Which items are of some categories."""

import numpy as np
import pyarrow as pa
import tensorflow as tf

from tfrec.retrieval.cells import Slots

_LEAST_WIDTH = 8


class Categories(tf.Module):
    """Asks for items that have one of some categories."""

    def __init__(self, column: pa.Array, slots: int = 0) -> None:
        """Takes a feature.

        Args:
          column: `[items]` strings, or lists of strings.
          slots: how many changes of items there is room for.
        """
        super().__init__()
        self._items, self._width = len(column), 1
        self._owners: tf.Variable | None = None
        if pa.types.is_list(column.type):
            lengths = column.value_lengths().fill_null(0).to_numpy()
            self._width = max(_LEAST_WIDTH, lengths.max())
            owners = np.repeat(np.arange(self._items), lengths)
            self._owners = tf.Variable(owners, trainable=False)
            column = column.flatten()
        encoded = column.dictionary_encode()
        values = encoded.dictionary.to_numpy(zero_copy_only=False)
        self._values = len(values)
        codes = encoded.indices.fill_null(len(values)).to_numpy()
        self._codes = tf.Variable(codes.astype(np.int32), trainable=False)
        # What fills lists up is a key too: a table takes no empty list of keys.
        keys, numbers = np.append(values, ""), np.append(np.arange(len(values)), -1)
        initializer = tf.lookup.KeyValueTensorInitializer(
            tf.constant(keys, tf.string), tf.constant(numbers, tf.int64)
        )
        self._table = tf.lookup.StaticHashTable(initializer, default_value=-1)
        # Of items that come later, the categories themselves: they may be ones never seen before.
        self._slots = Slots(slots, np.empty([0, self._width], object)) if slots else None

    def passing(self, wanted: tf.Tensor) -> tf.Tensor:
        """The items that have one of the wanted values: `[batch, n]` -> `[batch, items]` bool."""
        asked = tf.not_equal(wanted, "")
        # One place more than there are values stands for missing, which nobody can want.
        known = tf.one_hot(self._table.lookup(wanted), self._values + 1, on_value=True,
                           off_value=False, dtype=tf.bool)  # fmt: skip
        has = tf.gather(tf.reduce_any(known, 1), self._codes, axis=1)  # [batch, values of items]
        if self._owners is not None:
            found = tf.cast(tf.transpose(has), tf.int32)
            found = tf.math.unsorted_segment_max(found, self._owners, self._items)
            has = tf.transpose(found) > 0
        return has | ~tf.reduce_any(asked, 1, keepdims=True)

    def passing_slots(self, wanted: tf.Tensor, written: tf.Tensor) -> tf.Tensor:
        """The same of the first slots: `[batch, n]` -> `[batch, written]` bool."""
        assert self._slots is not None
        wanted = wanted[:, :, tf.newaxis, tf.newaxis]
        has = tf.reduce_any((self._slots.first(written) == wanted) & (wanted != ""), [1, 3])
        return has | ~tf.reduce_any(wanted[:, :, 0] != "", 1)

    def fits(self, values: tf.Tensor) -> tf.Tensor:
        """Says whether values have no more categories than there is room for: `[]` bool."""
        return tf.reduce_all(_table(values)[:, self._width :] == "")

    def write(self, slots: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
        """Writes slots: `[n]` integers, and strings `[n]` or `[n, values]`."""
        assert self._slots is not None
        values = _table(values)[:, : self._width]
        more = self._width - tf.shape(values)[1]
        return self._slots.write(slots, tf.pad(values, [[0, 0], [0, more]]))


def _table(values: tf.Tensor) -> tf.Tensor:
    return values if values.shape.rank == 2 else values[:, tf.newaxis]
