"""How far validation and test have drifted from training, by TensorFlow Data Validation."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pyarrow as pa
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2, statistics_pb2

from tfrec.data.splits import TEST, VALIDATION
from tfrec.features import FeatureSpec
from tfrec.features.schema import raw_schema
from tfrec.features.statistics import compute_statistics

THRESHOLD = 0.1
"""Distance from which a feature is flagged, if chance alone gives less."""

_Measurement = anomalies_pb2.DriftSkewInfo.Measurement
_Statistics: TypeAlias = statistics_pb2.DatasetFeatureStatisticsList


@dataclass(frozen=True)
class Distance:
    """How far a part is from the training sample.

    Attributes:
      l_infinity: largest difference of a value's share, in [0, 1]; None for numbers.
      jensen_shannon: divergence in bits, in [0, 1].
      chance: that of as many other training examples, which no drift but only chance can cause.
    """

    l_infinity: float | None
    jensen_shannon: float
    chance: float

    @property
    def is_flagged(self) -> bool:
        """Whether the part has drifted."""
        largest = max(self.jensen_shannon, self.l_infinity or 0.0)
        return largest > THRESHOLD and self.jensen_shannon > 2 * self.chance


@dataclass(frozen=True)
class Drift:
    """One feature's distances.

    Attributes:
      name: of the feature.
      distances: part -> distance, for parts where it can be told.
    """

    name: str
    distances: Mapping[str, Distance]

    @property
    def largest(self) -> float:
        """The largest divergence that chance does not explain."""
        return max(d.jensen_shannon - d.chance for d in self.distances.values())

    @property
    def is_flagged(self) -> bool:
        """Whether a part has drifted."""
        return any(distance.is_flagged for distance in self.distances.values())


def measure_drift(
    spec: FeatureSpec, train: pa.Table, parts: Mapping[str, pa.Table], seed: int
) -> list[Drift]:
    """Compares samples of the parts with half of the training sample.

    The other half shows how much two samples of these sizes differ by chance. Sequences are left
    out, since they drift with the feature that they are made of.

    Args:
      spec: the features.
      train: sample of the training examples, a column of raw values for each feature.
      parts: `validation` and `test` -> their samples.
      seed: of the halves.

    Returns:
      The features that could be compared, those that drifted most first.

    Source: Lin, Divergence Measures Based on the Shannon Entropy, IEEE Transactions on Information
    Theory, 1991.
    """
    halves = _shuffled(train, seed)
    middle = -(-len(halves) // 2)
    base = _statistics(spec, halves.slice(0, middle))
    measured: dict[str, dict[str, Distance]] = {}
    for part in (VALIDATION, TEST):
        if not len(parts[part]) or middle == len(halves):
            continue
        there = _compare(spec, base, parts[part])
        by_chance = _compare(spec, base, halves.slice(middle, len(parts[part])))
        for name in there.keys() & by_chance.keys():
            l_infinity, divergence = there[name]
            distance = Distance(l_infinity, divergence, by_chance[name][1])
            measured.setdefault(name, {})[part] = distance
    drifts = [Drift(name, distances) for name, distances in measured.items()]
    return sorted(drifts, key=lambda drift: (-drift.is_flagged, -drift.largest, drift.name))


def _shuffled(table: pa.Table, seed: int) -> pa.Table:
    return table.take(pa.array(np.random.default_rng(seed).permutation(len(table))))


def _statistics(spec: FeatureSpec, rows: pa.Table) -> _Statistics:
    return compute_statistics({name: rows[name].combine_chunks() for name in spec.columns})


def _compare(
    spec: FeatureSpec, base: _Statistics, rows: pa.Table
) -> dict[str, tuple[float | None, float]]:
    """Feature -> its distances from the base: L-infinity and Jensen-Shannon."""
    # It takes some ten seconds to import; only those who need it wait.
    from tensorflow_data_validation import validate_statistics

    there = _statistics(spec, rows)
    anomalies = validate_statistics(there, _schema(spec), previous_statistics=base)
    found = {}
    for info in anomalies.drift_skew_info:
        values = {measured.type: measured.value for measured in info.drift_measurements}
        if _Measurement.JENSEN_SHANNON_DIVERGENCE in values:
            divergence = values[_Measurement.JENSEN_SHANNON_DIVERGENCE]
            found[info.path.step[0]] = (values.get(_Measurement.L_INFTY), divergence)
    return found


def _schema(spec: FeatureSpec) -> schema_pb2.Schema:
    """The raw schema, with the comparisons that each feature allows."""
    schema = raw_schema(spec)
    for feature in schema.feature:
        comparator = feature.drift_comparator
        comparator.jensen_shannon_divergence.threshold = THRESHOLD
        if feature.type == schema_pb2.BYTES:
            comparator.infinity_norm.threshold = THRESHOLD
    return schema
