"""Whether a column holds what its feature says."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from tfrec.features.infer import MOST_VOCABULARY_ROWS
from tfrec.features.schema import raw_schema
from tfrec.features.spec import (
    Categorical,
    Feature,
    FeatureSpec,
    MultiCategorical,
    Numeric,
    Text,
)
from tfrec.features.statistics import Facts, compute_statistics, describe, flat

_MUCH = 0.5


@dataclass(frozen=True)
class Finding:
    """What a check found out about one feature.

    Attributes:
      facts: what is known of its column.
      rejected: reason -> rows that preparation would reject for it.
      warnings: what may be meant otherwise, each with its remedy.
      errors: what preparation or training would fail at, each with its remedy.
    """

    facts: Facts
    rejected: Mapping[str, int]
    warnings: list[str]
    errors: list[str]


def check_columns(
    spec: FeatureSpec,
    columns: Mapping[str, pa.Array],
    rejected: Mapping[str, Mapping[str, int]],
    max_reject_share: float,
) -> dict[str, Finding]:
    """Compares columns of equal length with their features.

    Args:
      spec: the features.
      columns: feature -> `[rows]` values as `raw_schema` types them; null where nothing is.
      rejected: feature -> reason -> rows that preparation would reject for it.
      max_reject_share: share of rejected rows above which preparation fails.

    Returns:
      Feature -> finding.
    """
    statistics = compute_statistics(columns)
    anomalies = _anomalies(spec, list(columns), statistics)
    findings = {}
    for name, facts in describe(columns, statistics).items():
        warnings = list(_warnings(spec[name], columns[name], facts))
        reasons = rejected.get(name, {})
        if name in anomalies and not reasons:
            warnings.append(anomalies[name])
        errors = list(_errors(facts, reasons, max_reject_share))
        findings[name] = Finding(facts, reasons, warnings, errors)
    return findings


def _anomalies(
    spec: FeatureSpec, names: list[str], statistics: statistics_pb2.DatasetFeatureStatisticsList
) -> dict[str, str]:
    """Says in which features statistics break the schema, as TensorFlow Data Validation does."""
    # It takes some ten seconds to import; only those who need it wait for it.
    import tensorflow_data_validation as tfdv

    schema = schema_pb2.Schema(
        feature=[column for column in raw_schema(spec).feature if column.name in names]
    )
    found = tfdv.validate_statistics(statistics, schema).anomaly_info
    return {name: f"schema: {anomaly.description}" for name, anomaly in found.items()}


def _errors(facts: Facts, rejected: Mapping[str, int], max_reject_share: float) -> Iterator[str]:
    if not facts.distinct and not rejected:
        yield f"no value in {facts.rows:,} rows; leave it out, or name another column"
    for reason, rows in rejected.items():
        if rows > max_reject_share * facts.rows:
            yield (
                f"{rows:,} of {facts.rows:,} rows rejected: {reason}; mend the data or the "
                f"feature, or raise data.max_reject_share above {max_reject_share:g}"
            )


def _warnings(feature: Feature, column: pa.Array, facts: Facts) -> Iterator[str]:
    if facts.distinct == 1:
        yield "a single value, which teaches nothing; leave it out"
    if facts.missing > _MUCH:
        yield f"{facts.missing:.0%} missing"
    if isinstance(feature, Categorical | MultiCategorical):
        yield from _lookup_warnings(feature, column, facts)
    if isinstance(feature, MultiCategorical) and facts.longest == 1:
        yield "one value in each row; give the separator that splits them, or kind: categorical"
    if isinstance(feature, Text):
        words = pc.utf8_split_whitespace(pc.utf8_lower(flat(column))).flatten()
        if (distinct := pc.count_distinct(words).as_py()) > feature.rows:
            yield f"{distinct:,} words share {feature.rows:,} rows; give more rows"
    if isinstance(feature, Numeric) and feature.buckets and facts.distinct < feature.buckets:
        yield f"{feature.buckets} buckets for {facts.distinct} values; give fewer buckets"


def _lookup_warnings(
    feature: Categorical | MultiCategorical, column: pa.Array, facts: Facts
) -> Iterator[str]:
    if feature.role == "context" and facts.distinct > max(_MUCH * facts.values, 1):
        yield "most rows have a value of their own, as an id's; leave it out"
    if feature.share is not None:
        return
    if feature.lookup == "identity":
        numbers = pc.match_substring_regex(flat(column), r"^\d{1,18}$")
        number = pc.if_else(numbers, flat(column), "-1").cast(pa.int64())
        outside = pc.sum(pc.invert(pc.and_(numbers, pc.less(number, feature.rows)))).as_py()
        if outside:
            yield (
                f"{outside:,} of {facts.values:,} values are no whole numbers below "
                f"{feature.rows:,}, and unknown; give more rows, or another lookup"
            )
    elif feature.rows and facts.distinct > feature.rows:
        # Of a vocabulary and of rows given out in training, the most frequent ones get theirs.
        does = "share" if feature.lookup == "hash" else "compete for"
        yield f"{facts.distinct:,} values {does} {feature.rows:,} rows; give more rows"
    elif feature.lookup == "vocabulary" and facts.distinct > MOST_VOCABULARY_ROWS:
        yield f"{facts.distinct:,} values in a vocabulary; give lookup: hash or dynamic, and rows"
