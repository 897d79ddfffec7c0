"""FeatureSpec -> the specification that parses transformed Examples."""

from collections.abc import Sequence as Names

import tensorflow as tf

from tfrec.features.spec import (
    Feature,
    FeatureSpec,
    MultiCategorical,
    Numeric,
    Sequence,
    Text,
    Vector,
)

ITEM_ROW = "_item_row"
"""The catalogue row of an Example's item: int64, dense, the same in every artefact of a run."""

TIME = "_time"
"""The moment of an Example's event: int64 seconds since 1970."""

REPEAT = "_repeat"
"""Whether an Example's shopper had had an event with its item before: int64, 0 or 1."""

WEIGHT = "_weight"
"""How much an Example counts in the loss: float32."""

LABEL = "_label"
"""Whether a labelled Example's shopper took the item: int64, 0 or 1."""

EXAMPLES = "_examples"
"""The serialised Examples of a list, the only feature of an Example that stands for a list."""

LIST = "_list"
"""The list of a batch that a row is of: int64, ascending; lists are learned whole."""

UNIFORM = "_uniform_"
"""Comes before the columns of items that were drawn uniformly and stand beside a batch."""

SOURCE = "_source_"
"""Comes before the names of the features of the item that a pair goes out from."""


def pair_features(spec: FeatureSpec) -> FeatureSpec:
    """The features of Examples of pairs: the target's, the source's behind `SOURCE`, weights."""
    targets = {name: spec[name] for name in spec.of_role("item")}
    weights = {name: spec[name] for name in spec.of_role("weight")}
    sources = {SOURCE + name: feature for name, feature in targets.items()}
    # A spec that a shop writes has a shopper's features too, and no such names.
    return FeatureSpec.model_construct(root={**targets, **sources, **weights})


def taught(task: str) -> str:
    """Names the column that holds what a teacher predicts of a task: float32."""
    return f"_taught_{task}"


def task_label(task: str) -> str:
    """Names the column of a labelled Example that holds the label of one of several tasks."""
    return f"{LABEL}_{task}"


_ROWS = tf.io.FixedLenFeature([], tf.int64)
_NUMBER = tf.io.FixedLenFeature([], tf.float32)


def parsing_spec(spec: FeatureSpec, names: Names[str]) -> dict[str, object]:
    """Describes transformed Examples to `tf.io.parse_example`.

    Args:
      spec: the features.
      names: which features to parse; `ITEM_ROW` is always among what is parsed.

    Returns:
      Name -> what `preprocessing_fn` says it is, with ragged for sparse, and int64 `[batch]` for
      the item row.
    """
    return {ITEM_ROW: _ROWS, **{name: _parsing(spec[name]) for name in names}}


def _parsing(feature: Feature) -> object:
    if isinstance(feature, MultiCategorical | Sequence | Text):
        return tf.io.RaggedFeature(tf.int64, row_splits_dtype=tf.int64)
    if isinstance(feature, Vector):
        return tf.io.FixedLenFeature([feature.dim], tf.float32)
    if isinstance(feature, Numeric) and feature.transform != "bucketise" and feature.role != "time":
        return _NUMBER
    return _ROWS
