"""Whether new data is as the config and the training rows let expect."""

from collections.abc import Mapping
from typing import Any

import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2
from tensorflow_metadata.proto.v0.statistics_pb2 import DatasetFeatureStatisticsList as Statistics

from tfrec.data.prepared import TRAIN
from tfrec.deploy.validation_config import FeatureLimits, ValidationLimits
from tfrec.errors import UserError
from tfrec.features.spec import (
    Categorical,
    FeatureSpec,
    MultiCategorical,
    Numeric,
    Sequence,
)

_COUNTED_VALUES = 1_000_000
_SHOWN_VALUES = 3
_Anomaly = anomalies_pb2.AnomalyInfo
_LIMITS = {
    _Anomaly.ENUM_TYPE_UNEXPECTED_STRING_VALUES: "new_values",
    _Anomaly.FEATURE_TYPE_LOW_FRACTION_PRESENT: "missing",
    _Anomaly.SCHEMA_MISSING_COLUMN: "missing",
    _Anomaly.COMPARATOR_L_INFTY_HIGH: "drift",
    _Anomaly.COMPARATOR_JENSEN_SHANNON_DIVERGENCE_HIGH: "drift",
}


def statistics_options() -> tfdv.StatsOptions:
    """How statistics are made: up to a million values of a category are counted, not 1000.

    Whether a value is new can only be said of a category whose values are all known.
    """
    return tfdv.StatsOptions(num_rank_histogram_buckets=_COUNTED_VALUES)


def limits_of(
    schema: schema_pb2.Schema, limits: ValidationLimits, spec: FeatureSpec
) -> schema_pb2.Schema:
    """Adds the config's limits to the schema of the raw features.

    Args:
      schema: see `raw_schema`.
      limits: the `pipeline.validation` section.
      spec: the features. Sequences are no columns of events, and have no limits.

    Returns:
      Another schema: a share of missing values is a presence, of new ones the mass outside the
      domain, and drift that of TensorFlow Data Validation.

    Raises:
      UserError: if there are limits of a feature that is not there.
    """
    unknown = limits.features.keys() - spec.root.keys()
    if unknown:
        raise UserError(
            f"pipeline.validation.features.{min(unknown)}: no such feature; known: "
            f"{', '.join(spec.root)}"
        )
    limited = schema_pb2.Schema()
    limited.CopyFrom(schema)
    for column in limited.feature:
        _limit(column, limits.of(column.name), spec)
    return limited


def validate_splits(
    schema: schema_pb2.Schema, splits: Mapping[str, Statistics], last: Statistics | None = None
) -> dict[str, anomalies_pb2.Anomalies]:
    """Validates the statistics of each split.

    Args:
      schema: see `limits_of`.
      splits: name -> statistics; `train` is among them.
      last: those of the last run's training rows, which this run's are compared with; the other
        splits are compared with this run's training rows.

    Returns:
      Name of a split -> what is wrong with it.
    """
    train = splits[TRAIN]
    known = _with_domains(schema, train)
    before = {name: last if name == TRAIN else train for name in splits}
    return {
        name: tfdv.validate_statistics(statistics, known, previous_statistics=before[name])
        for name, statistics in splits.items()
    }


def refuse_faults(
    anomalies: Mapping[str, anomalies_pb2.Anomalies],
    splits: Mapping[str, Statistics],
    folder: str,
) -> None:
    """Refuses data with which something is wrong.

    Args:
      anomalies: what was found.
      splits: the statistics that it was found in.
      folder: where these are, to be looked at.

    Raises:
      UserError: naming splits, features, values, limits and the fields of the config that set them.
    """
    faults = [
        f"{split} {feature}: {_explain(reason, feature, found.baseline, splits[split])}"
        for split, found in anomalies.items()
        for feature, info in sorted(found.anomaly_info.items())
        for reason in info.reason
    ]
    if faults:
        raise UserError(
            f"the data is not as expected: {'; '.join(faults)}. Mend the data or raise the limit; "
            f"tensorflow_data_validation.visualize_statistics shows what is in {folder}"
        )


def _limit(column: schema_pb2.Feature, limits: FeatureLimits, spec: FeatureSpec) -> None:
    """Writes all that a feature's limits say of its kind."""
    feature = spec[column.name]
    assert limits.missing is not None
    assert limits.new_values is not None
    assert limits.drift is not None
    if isinstance(feature, Sequence):
        return
    column.presence.min_fraction = max(1 - limits.missing, column.presence.min_fraction)
    if isinstance(feature, Categorical | MultiCategorical):
        column.distribution_constraints.min_domain_mass = 1 - limits.new_values
        column.drift_comparator.infinity_norm.threshold = limits.drift
    elif isinstance(feature, Numeric) and feature.role != "time":
        column.drift_comparator.jensen_shannon_divergence.threshold = limits.drift


def _with_domains(schema: schema_pb2.Schema, train: Statistics) -> schema_pb2.Schema:
    """Adds the values that training has seen to the categories whose new values are limited."""
    known = schema_pb2.Schema()
    known.CopyFrom(schema)
    for column in known.feature:
        if column.HasField("distribution_constraints"):
            seen = _counts(train, column.name)
            column.string_domain.value.extend(seen)
            if len(seen) >= _COUNTED_VALUES:  # nobody knows what else there was
                column.distribution_constraints.min_domain_mass = 0
    return known


def _counts(statistics: Statistics, feature: str) -> dict[str, float]:
    """How often each value of a category occurs; nothing where it is missing."""
    return {
        bucket.label: bucket.sample_count
        for found in statistics.datasets[0].features
        if found.path.step[0] == feature
        for bucket in found.string_stats.rank_histogram.buckets
    }


def _explain(reason: Any, feature: str, schema: schema_pb2.Schema, statistics: Statistics) -> str:
    """What is wrong, by how much, and what in the config says so."""
    limit = _LIMITS.get(reason.type)
    field = f"pipeline.validation.{limit}" if limit else f"features.{feature}"
    if reason.type == _Anomaly.ENUM_TYPE_UNEXPECTED_STRING_VALUES:
        (column,) = (column for column in schema.feature if column.name == feature)
        return f"{_new_values(column, statistics)} ({field})"
    return f"{reason.description.rstrip('. ')} ({field})"


def _new_values(column: schema_pb2.Feature, statistics: Statistics) -> str:
    """The share of new values, of which TensorFlow Data Validation would list all."""
    seen, counts = set(column.string_domain.value), _counts(statistics, column.name)
    new = {value: count for value, count in counts.items() if value not in seen}
    share = sum(new.values()) / sum(counts.values())
    allowed = 1 - column.distribution_constraints.min_domain_mass
    shown = ", ".join(sorted(new, key=lambda value: -new[value])[:_SHOWN_VALUES])
    return f"{share:.1%} of the values are new, more than {allowed:.1%}, e.g. {shown}"
