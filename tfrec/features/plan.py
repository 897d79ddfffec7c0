"""FeatureSpec -> the plan of the embedding tables."""

from collections.abc import Sequence as Names
from dataclasses import dataclass

import tensorflow_transform as tft

from tfrec.features.spec import (
    Categorical,
    EvictByAge,
    EvictLeastUsed,
    FeatureSpec,
    MultiCategorical,
    Numeric,
    Text,
)


@dataclass(frozen=True)
class Dynamic:
    """How a table's rows are given out in training.

    Attributes:
      min_count: occurrences that an id needs.
      evict: whose row a new id may take when none is left; None for no one's.
    """

    min_count: int = 1
    evict: EvictByAge | EvictLeastUsed | None = None


@dataclass(frozen=True)
class Table:
    """One embedding table.

    Attributes:
      rows: all of them.
      dim: floats per row.
      unknown_rows: how many of them, the last ones, stand for unknown and missing values.
      dynamic: where the transform gives fingerprints, how these find rows; None where it gives
        rows.
    """

    rows: int
    dim: int
    unknown_rows: int = 0
    dynamic: Dynamic | None = None


def embedding_plan(
    spec: FeatureSpec, transform: tft.TFTransformOutput, embedded: Names[str] | None = None
) -> dict[str, Table]:
    """Says which tables the features need; those that share another's, as sequences do, have none.

    Args:
      spec: the features.
      transform: the fitted transform, which knows the vocabularies' sizes.
      embedded: names of the features that are embedded; all by default.

    Returns:
      Feature name -> table.
    """
    tables = {}
    owners = {spec.table_of(name) for name in (spec.inputs if embedded is None else embedded)}
    for name, feature in spec.root.items():
        if name not in owners:
            continue
        if isinstance(feature, Categorical | MultiCategorical):
            tables[name] = _table(name, feature, transform)
        elif isinstance(feature, Text):
            tables[name] = Table(feature.rows, feature.embedding)
        elif isinstance(feature, Numeric) and feature.buckets and feature.embedding:
            tables[name] = Table(feature.buckets + 1, feature.embedding, 1)
    return tables


def _table(
    name: str, feature: Categorical | MultiCategorical, transform: tft.TFTransformOutput
) -> Table:
    assert feature.embedding is not None  # the spec has checked it
    known = feature.rows or 0
    if feature.lookup == "vocabulary":
        known = transform.vocabulary_size_by_name(name)
    dynamic = Dynamic(feature.min_count, feature.evict) if feature.lookup == "dynamic" else None
    return Table(known + feature.unknown_rows, feature.embedding, feature.unknown_rows, dynamic)
