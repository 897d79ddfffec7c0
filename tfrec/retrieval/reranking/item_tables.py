"""What rules name, found in the catalogue."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import tensorflow as tf

from tfrec.data.catalogue import ID, Catalogue
from tfrec.errors import UserError
from tfrec.retrieval.cells import Cells
from tfrec.retrieval.reranking.config import Boost, Cap, Mmr, Step

_SHOWN = 10
_NEW_GROUPS = 2**20


class ItemTable(Cells):
    """What a step must know of each item, also of those that come or change later.

    That is its vector for `mmr`; a float32 amount for `boost`; an int32 number that tells the
    feature's values apart for `cap` and `calibrate`, -1 for a missing one.
    """

    def __init__(
        self, step: Step, where: str, catalogue: Catalogue, vectors: np.ndarray | None, slots: int
    ) -> None:
        """Looks up what the step names.

        Args:
          step: the step.
          where: its dotted name, for messages.
          catalogue: the items.
          vectors: `[items, dim]` float32 of the model, if it has any.
          slots: how many changes of items there is room for.

        Raises:
          UserError: if what the step names is not there.
        """
        self._step = step
        if isinstance(step, Mmr):
            if vectors is None:
                raise UserError(
                    f"{where}: mmr needs item vectors, and the model has none; use a cap"
                )
            super().__init__(vectors, slots)
            return
        values = _values(catalogue, step.feature, where)
        codes = values.indices.fill_null(-1).to_numpy()
        known = values.dictionary.cast(pa.string())
        if isinstance(step, Boost):
            amounts = _amounts(step, known, where)
            super().__init__(np.append(amounts, np.float32(0))[codes], slots)
            self._known = _lookup(step.amounts, tf.float32, 0.0)
        else:
            super().__init__(codes, slots)
            numbers = dict(zip(known.to_pylist(), range(len(known)), strict=True))
            self._known = _lookup(numbers, tf.int64, -1)
            self._values = len(known)

    def write_items(
        self,
        slots: tf.Tensor,
        ids: tf.Tensor,
        features: Mapping[str, tf.Tensor],
        vectors: tf.Tensor,
    ) -> tf.Tensor:
        """Writes what is known of items: `[n]` slots, ids, raw features, and `[n, dim]` vectors."""
        if isinstance(self._step, Mmr):
            return self.write(slots, vectors)
        values = features[self._step.feature] if self._step.feature else ids
        if values.dtype != tf.string:
            values = tf.strings.as_string(values, shortest=True)
        known = self._known.lookup(values)
        if isinstance(self._step, Cap):
            # A value never seen before makes a group of its own.
            new = self._values + tf.strings.to_hash_bucket_fast(values, _NEW_GROUPS)
            known = tf.where((known < 0) & (values != ""), new, known)
        return self.write(slots, tf.cast(known, self.built.dtype))


def pinned_rows(pinned: Mapping[str, int], catalogue: Catalogue) -> np.ndarray:
    """Finds the rows of pinned items: `[p]` int64.

    Raises:
      UserError: if one is not in the catalogue.
    """
    rows = catalogue.rows(list(pinned))
    _check("reranking.pinned", list(pinned), rows >= 0, "no item of the catalogue")
    return rows


def _values(catalogue: Catalogue, feature: str | None, where: str) -> pa.DictionaryArray:
    """A feature of the items, or their ids: `[items]`."""
    features = [name for name in catalogue.table.column_names if not name.startswith("_")]
    if feature is not None and feature not in features:
        raise UserError(
            f"{where}.feature: {feature!r} is no feature of the catalogue; known: "
            f"{', '.join(features) or 'none'}"
        )
    column = catalogue.table[feature or ID].combine_chunks()
    if pa.types.is_nested(column.type):
        raise UserError(f"{where}.feature: {feature} holds lists; name a feature with one value")
    return column.dictionary_encode()


def _amounts(step: Boost, known: pa.Array, where: str) -> np.ndarray:
    """What is added to the score of each of the known values: `[values]` float32."""
    named = list(step.amounts)
    numbers = pc.index_in(pa.array(named), value_set=known).fill_null(-1).to_numpy()
    what = f"no value of {step.feature}" if step.feature else "no item of the catalogue"
    some = known.slice(0, _SHOWN).to_pylist() if step.feature else ()
    _check(f"{where}.amounts", named, numbers >= 0, what, some)
    amounts = np.zeros(len(known), np.float32)
    amounts[numbers] = list(step.amounts.values())
    return amounts


def _lookup(
    numbers: Mapping[str, float], dtype: tf.DType, default: float
) -> tf.lookup.StaticHashTable:
    # A table takes no empty list of keys.
    keys, values = ["", *numbers], [default, *numbers.values()]
    initializer = tf.lookup.KeyValueTensorInitializer(keys, values, tf.string, dtype)
    return tf.lookup.StaticHashTable(initializer, default)


def _check(
    field: str, named: Sequence[str], found: np.ndarray, what: str, known: Sequence[str] = ()
) -> None:
    if not found.all():
        absent = named[int(np.argmin(found))]
        remedy = f"it has {', '.join(known)}" if known else "leave it out"
        raise UserError(f"{field}: {absent!r} is {what}; {remedy}")
