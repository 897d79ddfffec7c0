"""FeatureSpec -> the plan of the embedding tables."""

from dataclasses import dataclass

import tensorflow_transform as tft

from tfrec.features.spec import Categorical, FeatureSpec, MultiCategorical, Numeric, Text


@dataclass(frozen=True)
class Table:
    """One embedding table.

    Attributes:
      rows: all of them.
      dim: floats per row.
      unknown_rows: how many of them, the last ones, stand for unknown and missing values.
    """

    rows: int
    dim: int
    unknown_rows: int = 0


def embedding_plan(spec: FeatureSpec, transform: tft.TFTransformOutput) -> dict[str, Table]:
    """Says which tables the features need; a sequence shares the one of the feature it is `of`.

    Args:
      spec: the features.
      transform: the fitted transform, which knows the vocabularies' sizes.

    Returns:
      Feature name -> table.
    """
    tables = {}
    for name, feature in spec.root.items():
        if isinstance(feature, Categorical | MultiCategorical):
            known = feature.rows or 0
            if feature.lookup == "vocabulary":
                known = transform.vocabulary_size_by_name(name)
            unknown = feature.unknown_rows
            tables[name] = Table(known + unknown, feature.embedding, unknown)
        elif isinstance(feature, Text):
            tables[name] = Table(feature.rows, feature.embedding)
        elif isinstance(feature, Numeric) and feature.buckets and feature.embedding:
            tables[name] = Table(feature.buckets + 1, feature.embedding, 1)
    return tables
