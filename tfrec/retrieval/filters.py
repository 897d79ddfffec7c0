"""Which items a request allows, and places of a list for new ones."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import tensorflow as tf

from tfrec.errors import UserError
from tfrec.retrieval.categories import Categories
from tfrec.retrieval.cells import Cells
from tfrec.retrieval.index import NO_ITEM

ONLY, LEAST, MOST = "only_", "least_", "most_"
"""Come before a feature's name in the inputs of a filter."""

NEW_ITEMS = "new_items"


class ItemFilter(tf.Module):
    """What the items of a catalogue are, so that a request can say which ones it wants.

    Where items change it speaks of cells: of all items by row first, and of the slots then.
    """

    def __init__(
        self, table: pa.Table, features: Sequence[str], new: np.ndarray, slots: int = 0
    ) -> None:
        """Takes the features to filter by.

        Args:
          table: the catalogue; see `Catalogue.table`.
          features: names of its categories, lists of categories and numbers.
          new: `[items]` bool, the items that count as new.
          slots: how many changes of items there is room for.

        Raises:
          UserError: if a feature is not in the table, or is neither.
        """
        super().__init__()
        self._slots = slots
        self._new = Cells(new, slots)
        known = [name for name in table.column_names if not name.startswith("_")]
        self._categories: dict[str, Categories] = {}
        self._numbers: dict[str, Cells] = {}
        for name in features:
            if name not in known:
                raise UserError(
                    f"serving.filters: {name!r} is no feature of the catalogue; known: "
                    f"{', '.join(known) or 'none'}"
                )
            column = table[name].combine_chunks()
            kind = column.type.value_type if pa.types.is_list(column.type) else column.type
            if pa.types.is_string(kind):
                self._categories[name] = Categories(column, slots)
            elif pa.types.is_list(column.type):
                raise UserError(f"serving.filters: {name} holds vectors; filter by another feature")
            else:
                numbers = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
                self._numbers[name] = Cells(numbers.astype(np.float32), slots)

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

    def allowed(
        self, inputs: Mapping[str, tf.Tensor], batch: tf.Tensor, written: tf.Tensor | int = 0
    ) -> tf.Tensor:
        """Finds the items that pass: `[batch, items + slots]` bool.

        Args:
          inputs: a value for each of `inputs()`.
          batch: how many requests.
          written: how many slots may be in use.
        """
        passing = tf.fill([batch, tf.shape(self._new.built)[0] + written], True)
        for name, categories in self._categories.items():
            wanted = inputs[ONLY + name]
            has = categories.passing(wanted)
            if self._slots:
                has = tf.concat([has, categories.passing_slots(wanted, written)], 1)
            passing &= has
        for name, numbers in self._numbers.items():
            passing &= _within(numbers.all(written), inputs[LEAST + name], inputs[MOST + name])
        return tf.pad(passing, [[0, 0], [0, self._slots - written]])

    def new(self, written: tf.Tensor | int = 0) -> tf.Tensor:
        """Says which items count as new: `[items + slots]` bool."""
        return tf.pad(self._new.all(written), [[0, self._slots - written]])

    def refusals(self, features: Mapping[str, tf.Tensor]) -> list[tf.Operation]:
        """Checks raw item features that are to be written."""
        return [
            tf.debugging.Assert(
                categories.fits(features[name]),
                [f"{name}: an item has more categories than there is room for; give fewer"],
            )
            for name, categories in self._categories.items()
        ]

    def write(
        self, slots: tf.Tensor, features: Mapping[str, tf.Tensor], cells: tf.Tensor
    ) -> list[tf.Tensor]:
        """Writes what items are that change, or that come and so are new.

        Args:
          slots: `[n]` integers.
          features: raw item features, as `raw_inputs` describes them.
          cells: `[n]` cells in which the items were; `NO_ITEM` for one that comes.

        Returns:
          What depends on them happens afterwards.
        """
        new = (cells < 0) | self._new.gather(tf.maximum(cells, 0))
        known: dict[str, Categories | Cells] = {**self._categories, **self._numbers}
        done = [one.write(slots, features[name]) for name, one in known.items()]
        return [self._new.write(slots, new), *done]


def _within(numbers: tf.Tensor, least: tf.Tensor, most: tf.Tensor) -> tf.Tensor:
    """Compares `[n]` numbers with `[batch]` bounds, NaN for none: `[batch, n]` bool."""
    # Nothing compares with NaN: no bound is no item below or above it.
    asked = ~(tf.math.is_nan(least) & tf.math.is_nan(most))[:, tf.newaxis]
    outside = (numbers < least[:, tf.newaxis]) | (numbers > most[:, tf.newaxis])
    return ~(outside | (asked & tf.math.is_nan(numbers)))


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
