"""What rules name, found in the catalogue."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfrec.data.catalogue import ID, Catalogue
from tfrec.errors import UserError
from tfrec.retrieval.reranking.config import Boost, Mmr, Step

_SHOWN = 10


def item_table(
    step: Step, where: str, catalogue: Catalogue, vectors: np.ndarray | None
) -> np.ndarray:
    """Gathers what a step must know of each item.

    Args:
      step: the step.
      where: its dotted name, for messages.
      catalogue: the items.
      vectors: `[items, dim]` float32 of the model, if it has any.

    Returns:
      By row of the catalogue: the vectors for `mmr`; float32 amounts for `boost`; int32 numbers
      that tell the feature's values apart for `cap` and `calibrate`, -1 for a missing one.

    Raises:
      UserError: if what the step names is not there.
    """
    if isinstance(step, Mmr):
        if vectors is None:
            raise UserError(f"{where}: mmr needs item vectors, and the model has none; use a cap")
        return vectors
    values = _values(catalogue, step.feature, where)
    if isinstance(step, Boost):
        return _amounts(step, values, where)
    return values.indices.fill_null(-1).to_numpy()


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


def _amounts(step: Boost, values: pa.DictionaryArray, where: str) -> np.ndarray:
    known, named = values.dictionary.cast(pa.string()), list(step.amounts)
    numbers = pc.index_in(pa.array(named), value_set=known).fill_null(-1).to_numpy()
    what = f"no value of {step.feature}" if step.feature else "no item of the catalogue"
    some = known.slice(0, _SHOWN).to_pylist() if step.feature else ()
    _check(f"{where}.amounts", named, numbers >= 0, what, some)
    of_value = np.zeros(len(known) + 1, np.float32)  # The last: of items without a value.
    of_value[numbers] = list(step.amounts.values())
    return of_value[values.indices.fill_null(-1).to_numpy()]


def _check(
    field: str, named: Sequence[str], found: np.ndarray, what: str, known: Sequence[str] = ()
) -> None:
    if not found.all():
        absent = named[int(np.argmin(found))]
        remedy = f"it has {', '.join(known)}" if known else "leave it out"
        raise UserError(f"{field}: {absent!r} is {what}; {remedy}")
