"""Which items a request allows, and places of a list for new ones."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import tensorflow as tf

from tfrec.errors import UserError
from tfrec.retrieval.index import NO_ITEM

ONLY, LEAST, MOST = "only_", "least_", "most_"
"""Come before a feature's name in the inputs of a filter."""

NEW_ITEMS = "new_items"


class ItemFilter(tf.Module):
    """What the items of a catalogue are, so that a request can say which ones it wants.

    Attributes:
      items: number of items.
      new: `[items]` bool, the items that count as new.
    """

    def __init__(self, table: pa.Table, features: Sequence[str], new: np.ndarray) -> None:
        """Takes the features to filter by.

        Args:
          table: the catalogue; see `Catalogue.table`.
          features: names of its categories, lists of categories and numbers.
          new: `[items]` bool.

        Raises:
          UserError: if a feature is not in the table, or is neither.
        """
        super().__init__()
        self.items = table.num_rows
        self.new = tf.Variable(new, trainable=False)
        known = [name for name in table.column_names if not name.startswith("_")]
        self._categories: dict[str, _Categories] = {}
        self._numbers: dict[str, tf.Variable] = {}
        for name in features:
            if name not in known:
                raise UserError(
                    f"serving.filters: {name!r} is no feature of the catalogue; known: "
                    f"{', '.join(known) or 'none'}"
                )
            column = table[name].combine_chunks()
            kind = column.type.value_type if pa.types.is_list(column.type) else column.type
            if pa.types.is_string(kind):
                self._categories[name] = _Categories(column)
            elif pa.types.is_list(column.type):
                raise UserError(f"serving.filters: {name} holds vectors; filter by another feature")
            else:
                numbers = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
                self._numbers[name] = tf.Variable(numbers.astype(np.float32), trainable=False)

    def inputs(self) -> dict[str, tf.TensorSpec]:
        """Describes what a request says.

        Returns:
          For a category `only_NAME`, strings `[batch, n]` filled up with empty ones: an item has to
          have one of them, or any where there is none. For a number `least_NAME` and `most_NAME`,
          float32 `[batch]`: bounds within which it has to be, NaN for none. An item that lacks the
          value passes where nothing is asked of it.
        """
        specs = {}
        for name in self._categories:
            specs[ONLY + name] = tf.TensorSpec([None, None], tf.string, ONLY + name)
        for name in self._numbers:
            for bound in (LEAST, MOST):
                specs[bound + name] = tf.TensorSpec([None], tf.float32, bound + name)
        return specs

    def allowed(self, inputs: Mapping[str, tf.Tensor], batch: tf.Tensor) -> tf.Tensor:
        """Finds the items that pass: `[batch, items]` bool.

        Args:
          inputs: a value for each of `inputs()`.
          batch: how many requests.
        """
        passing = tf.ones([batch, self.items], tf.bool)
        for name, categories in self._categories.items():
            passing &= categories.passing(inputs[ONLY + name])
        for name, numbers in self._numbers.items():
            least, most = inputs[LEAST + name], inputs[MOST + name]
            # Nothing compares with NaN: no bound is no item below or above it.
            asked = ~(tf.math.is_nan(least) & tf.math.is_nan(most))[:, tf.newaxis]
            outside = (numbers < least[:, tf.newaxis]) | (numbers > most[:, tf.newaxis])
            passing &= ~(outside | (asked & tf.math.is_nan(numbers)))
        return passing


class _Categories(tf.Module):
    """A feature that holds one category an item, or several."""

    def __init__(self, column: pa.Array) -> None:
        super().__init__()
        self._items = len(column)
        self._owners: tf.Variable | None = None
        if pa.types.is_list(column.type):
            lengths = column.value_lengths().fill_null(0).to_numpy()
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


def with_new(
    ids: tf.Tensor, scores: tf.Tensor, new_ids: tf.Tensor, new_scores: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Gives places of a list to new items.

    Those that the list lacks come at its end, in the places of the last that are not new.

    Args:
      ids: `[batch, k]` int64 rows, `NO_ITEM` at the end of a short list.
      scores: `[batch, k]`; -inf there.
      new_ids: `[batch, n]` rows of the new items that are to be in the list, `n` at most `k`.
      new_scores: `[batch, n]`.

    Returns:
      Rows and scores, `[batch, k]` each.
    """
    k = tf.shape(ids)[1]
    same = ids[:, :, tf.newaxis] == new_ids[:, tf.newaxis]  # [batch, k, n]
    listed, is_new = tf.reduce_any(same, 2), new_ids >= 0
    room = k - tf.math.count_nonzero(is_new, 1, keepdims=True, dtype=tf.int32)
    stays = listed | (tf.cumsum(tf.cast(~listed, tf.int32), 1) <= room)
    comes = is_new & ~tf.reduce_any(same & (ids >= 0)[:, :, tf.newaxis], 1)
    there = tf.concat([stays & (ids >= 0), comes], 1)
    # In the order in which they are, without gaps.
    places = tf.argsort(tf.cast(~there, tf.int32), 1, stable=True)[:, :k]
    there = tf.gather(there, places, batch_dims=1)
    ids = tf.gather(tf.concat([ids, new_ids], 1), places, batch_dims=1)
    scores = tf.gather(tf.concat([scores, new_scores], 1), places, batch_dims=1)
    return tf.where(there, ids, tf.constant(NO_ITEM, tf.int64)), tf.where(there, scores, -np.inf)
