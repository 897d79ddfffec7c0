"""Raw columns as the types that features have."""

import pyarrow as pa
import pyarrow.compute as pc

from tfrec.data.times import to_seconds
from tfrec.data.values import Faults, to_floats, to_lists, to_strings, to_vectors
from tfrec.features import Feature, MultiCategorical, Numeric, Vector


def cast_feature(
    name: str, feature: Feature, column: pa.Array, unit: str, form: str | None
) -> tuple[pa.Array, Faults]:
    """Casts a column to a feature's type and checks its values.

    Args:
      name: the feature's name, put before the reasons.
      feature: what the column should hold.
      column: `[rows]` of any type.
      unit: of moments that are numbers.
      form: of moments that are text; see `to_seconds`.

    Returns:
      `[rows]`: strings, lists of strings, float32, lists of float32 or int64 seconds, null where
      nothing is; and what is wrong with which rows.
    """
    values, faults = _cast(feature, column, unit, form)
    if isinstance(feature, Numeric):
        faults = {**faults, **_range_faults(feature, values)}
    if feature.role in ("label", "weight", "time"):
        faults = {**faults, "missing": values.is_null()}
    return values, prefixed(name, faults)


def prefixed(name: str, faults: Faults) -> Faults:
    """Puts a column's name before the reasons."""
    return {f"{name}: {reason}": mask for reason, mask in faults.items()}


def raw_type(feature: Feature) -> pa.DataType:
    """The Arrow type that `cast_feature` makes."""
    if isinstance(feature, Numeric):
        return pa.int64() if feature.role == "time" else pa.float32()
    if isinstance(feature, MultiCategorical):
        return pa.list_(pa.string())
    return pa.list_(pa.float32()) if isinstance(feature, Vector) else pa.string()


def _cast(
    feature: Feature, column: pa.Array, unit: str, form: str | None
) -> tuple[pa.Array, Faults]:
    if isinstance(feature, Numeric) and feature.role == "time":
        return to_seconds(column, unit, form)
    if isinstance(feature, Numeric):
        return to_floats(column)
    if isinstance(feature, MultiCategorical):
        return to_lists(column, feature.separator)
    if isinstance(feature, Vector):
        return to_vectors(column, feature.dim, feature.separator)
    return to_strings(column)


def _range_faults(feature: Numeric, values: pa.Array) -> Faults:
    faults = {}
    if feature.min is not None:
        faults[f"less than {feature.min:g}"] = pc.less(values, feature.min).fill_null(False)
    if feature.max is not None:
        faults[f"more than {feature.max:g}"] = pc.greater(values, feature.max).fill_null(False)
    return faults
