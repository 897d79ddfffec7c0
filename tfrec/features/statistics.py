"""What raw columns hold, as TensorFlow Data Validation and a count of their values say."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from tensorflow_metadata.proto.v0 import statistics_pb2


@dataclass(frozen=True)
class Facts:
    """What is known of a column.

    Attributes:
      rows: all of them.
      missing: share of rows without a value.
      values: how many there are.
      distinct: how many different ones.
      once: share of the values that occur in one row only, which a vocabulary could not learn.
      longest: most values in a row, of which a list may have several.
      words: mean words of a string; NaN for what is no string.
      mean: of numbers; NaN for what is no number, as are the following.
      deviation: standard deviation of numbers.
      least: smallest number.
      most: largest number.
    """

    rows: int
    missing: float
    values: int
    distinct: int
    once: float
    longest: int
    words: float = math.nan
    mean: float = math.nan
    deviation: float = math.nan
    least: float = math.nan
    most: float = math.nan


def compute_statistics(
    columns: Mapping[str, pa.Array],
) -> statistics_pb2.DatasetFeatureStatisticsList:
    """Computes TensorFlow Data Validation's statistics of columns in memory.

    Args:
      columns: name -> `[rows]` strings, numbers, or lists of them; null where nothing is.

    Returns:
      One data set's statistics.
    """
    # It takes some ten seconds to import; only those who need statistics wait for it.
    from tensorflow_data_validation.statistics.stats_impl import generate_statistics_in_memory

    batch = pa.RecordBatch.from_arrays([_as_lists(c) for c in columns.values()], list(columns))
    return generate_statistics_in_memory(batch)


def describe(
    columns: Mapping[str, pa.Array], statistics: statistics_pb2.DatasetFeatureStatisticsList
) -> dict[str, Facts]:
    """Sums up what is known of each column.

    Args:
      columns: as `compute_statistics` took them.
      statistics: what it gave.

    Returns:
      Name -> facts.
    """
    found = {feature.path.step[0]: feature for feature in statistics.datasets[0].features}
    return {name: _facts(column, found[name]) for name, column in columns.items()}


def flat(column: pa.Array) -> pa.Array:
    """The values of a column, those of lists one after another, without missing ones."""
    return (column.flatten() if _is_list(column.type) else column).drop_null()


def _facts(column: pa.Array, statistics: statistics_pb2.FeatureNameStatistics) -> Facts:
    of_kind = getattr(statistics, statistics.WhichOneof("stats"))
    lengths = _as_lists(column).value_lengths().fill_null(0).to_numpy()
    values = flat(column)
    counts = values.value_counts().field("counts").to_numpy()
    return Facts(
        rows=len(column),
        missing=float(np.sum(lengths == 0)) / max(len(column), 1),
        values=len(values),
        distinct=len(counts),
        once=float(np.sum(counts == 1)) / max(len(values), 1),
        longest=int(lengths.max(initial=0)),
        **_measures(values, of_kind),
    )


def _measures(
    values: pa.Array,
    of_kind: statistics_pb2.NumericStatistics | statistics_pb2.StringStatistics,
) -> dict[str, float]:
    if not len(values):
        return {}
    if isinstance(of_kind, statistics_pb2.NumericStatistics):
        return {
            "mean": of_kind.mean,
            "deviation": of_kind.std_dev,
            "least": of_kind.min,
            "most": of_kind.max,
        }
    return {"words": pc.mean(pc.count_substring_regex(values, r"\S+")).as_py()}


def _as_lists(column: pa.Array) -> pa.Array:
    if _is_list(column.type):
        return column
    offsets = np.cumsum(np.r_[0, column.is_valid().to_numpy(zero_copy_only=False)])
    # A null offset makes a null list, which the statistics call a missing value.
    starts = pa.array(offsets.astype(np.int32), mask=np.r_[_is_null(column), False])
    return pa.ListArray.from_arrays(starts, column.drop_null())


def _is_null(column: pa.Array) -> np.ndarray:
    return column.is_null().to_numpy(zero_copy_only=False)


def _is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind)
