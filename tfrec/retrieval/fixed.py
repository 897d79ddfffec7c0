"""An index whose items stay as they are."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfrec.retrieval.index import NO_ITEM
from tfrec.retrieval.live import Moment, Searched


class FixedIndex(tf.Module):
    """Answers as `LiveIndex` does, at any moment the same: each item's cell is its row."""

    slots = 0

    def __init__(self, index: Searched, ids: Sequence[str]) -> None:
        """Takes an index and the items' ids by row."""
        super().__init__()
        self.items, self._index = len(ids), index
        strings = np.asarray(ids, dtype=object)
        self._ids = tf.Variable(strings, trainable=False, dtype=tf.string)
        initializer = tf.lookup.KeyValueTensorInitializer(
            tf.constant(strings), tf.range(self.items, dtype=tf.int64)
        )
        self._rows = tf.lookup.StaticHashTable(initializer, default_value=NO_ITEM)

    def now(self) -> Moment:
        """See `LiveIndex.now`."""
        return Moment(tf.range(self.items, dtype=tf.int64), tf.constant(0), tf.constant(0))

    def find(self, ids: tf.Tensor, moment: Moment) -> tf.Tensor:
        """See `LiveIndex.find`."""
        return self._rows.lookup(ids)

    def ids(self, cells: tf.Tensor) -> tf.Tensor:
        """See `LiveIndex.ids`."""
        return tf.where(cells == NO_ITEM, "", tf.gather(self._ids, tf.maximum(cells, 0)))

    def there(self, moment: Moment) -> tf.Tensor:
        """See `LiveIndex.there`."""
        return tf.fill([self.items], True)

    def search(
        self, queries: tf.Tensor, k: tf.Tensor, exclude: tf.Tensor, moment: Moment
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """See `LiveIndex.search`."""
        return self._index.search(queries, k, exclude)

    def search_allowed(
        self, queries: tf.Tensor, k: tf.Tensor, allowed: tf.Tensor, moment: Moment
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """See `LiveIndex.search_allowed`."""
        return self._index.search_allowed(queries, k, allowed)

    def vectors_of(self, cells: tf.Tensor) -> tf.Tensor:
        """See `LiveIndex.vectors_of`."""
        return self._index.vectors_of(cells)

    def search_exact(
        self, queries: tf.Tensor, k: tf.Tensor, moment: Moment
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """See `LiveIndex.search_exact`."""
        every = tf.fill([tf.shape(queries)[0], self.items], True)
        return self._index.search_exact(queries, k, every)
