"""Raw values of features by event, as TensorFlow Transform and files of Examples take them."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfrec.data.shard import View
from tfrec.features import Feature, Vector


def raw_column(view: View, name: str, places: np.ndarray) -> pa.Array:
    """A feature's raw values of some events.

    Args:
      view: events, as their part may see them.
      name: the feature; no sequence.
      places: `[rows]` of the events in the view.

    Returns:
      `[rows]`, null where there is none.
    """
    if view.shard.columns.places[name] == "behaviour":
        return pa.array(view.behaviour(name)[places], from_pandas=True)
    return view.shard.value(name).take(pa.array(view.rows[places]))


def as_lists(column: pa.Array, feature: Feature) -> pa.Array:
    """Makes every value a list: of at most one, of several, or of a vector's floats."""
    if isinstance(feature, Vector):
        return column.fill_null([0.0] * feature.dim)
    if pa.types.is_list(column.type):
        return column.cast(pa.list_(pa.binary()))
    counts = column.is_valid().cast(pa.int32())
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), pc.cumulative_sum(counts)])
    values = column.drop_null()
    values = values.cast(pa.binary()) if pa.types.is_string(values.type) else values
    return pa.ListArray.from_arrays(offsets, values)
