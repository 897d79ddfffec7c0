"""Values of items, with room for those of items that change."""

import numpy as np
import tensorflow as tf


class Slots(tf.Module):
    """Values that are written later, each once and before anybody is told of it."""

    def __init__(self, count: int, like: np.ndarray) -> None:
        """Makes room.

        Args:
          count: number of values.
          like: `[n, ...]` numbers, bools or strings, of the values' kind and shape.
        """
        super().__init__()
        empty = "" if like.dtype == object else 0
        values = np.full((count, *like.shape[1:]), empty, like.dtype)
        self._values = tf.Variable(values, trainable=False)

    def gather(self, slots: tf.Tensor) -> tf.Tensor:
        """Reads slots: `[...]` integers -> `[..., ...]`."""
        return tf.gather(self._values, slots)

    def first(self, count: tf.Tensor) -> tf.Tensor:
        """Reads the first slots: `[count, ...]`."""
        return self.gather(tf.range(count))

    def write(self, slots: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
        """Writes slots: `[n]` integers, and a value for each.

        Returns:
          What depends on it happens afterwards.
        """
        return self._values.scatter_nd_update(slots[:, tf.newaxis], values)


class Cells(tf.Module):
    """A value for each item as the index was built, and slots for what changes.

    Cells are numbered through: first the items by row, then the slots.

    Attributes:
      built: `[items, ...]`, the values of the items.
    """

    def __init__(self, values: np.ndarray, slots: int = 0) -> None:
        """Holds the items' values.

        Args:
          values: `[items, ...]` numbers, bools or strings, at least one item.
          slots: how many changes there is room for.
        """
        super().__init__()
        self.built = tf.Variable(values, trainable=False)
        self._slots = Slots(slots, values) if slots else None
        self._items = len(values)

    def gather(self, cells: tf.Tensor) -> tf.Tensor:
        """Reads cells: `[...]` integers that are not negative -> `[..., ...]`."""
        if self._slots is None:
            return tf.gather(self.built, cells)
        built = tf.gather(self.built, tf.minimum(cells, self._items - 1))
        written = self._slots.gather(tf.maximum(cells - self._items, 0))
        more = built.shape.rank - cells.shape.rank
        is_built = tf.reshape(cells < self._items, tf.concat([tf.shape(cells), [1] * more], 0))
        return tf.where(is_built, built, written)

    def all(self, written: tf.Tensor) -> tf.Tensor:
        """Reads all cells that may be in use: `[items + written, ...]`."""
        if self._slots is None:
            return self.built.read_value()
        return tf.concat([self.built, self._slots.first(written)], 0)

    def write(self, slots: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
        """See `Slots.write`."""
        assert self._slots is not None
        return self._slots.write(slots, values)
