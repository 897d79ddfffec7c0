"""FeatureSpec -> the specification that parses transformed Examples."""

from collections.abc import Sequence as Names

import tensorflow as tf

from tfrec.features.spec import FeatureSpec

ITEM_ROW = "_item_row"
"""The catalogue row of an Example's item: int64, dense, the same in every artefact of a run."""

TIME = "_time"
"""The moment of an Example's event: int64 seconds since 1970."""

REPEAT = "_repeat"
"""Whether an Example's shopper had had an event with its item before: int64, 0 or 1."""

WEIGHT = "_weight"
"""How much an Example counts in the loss: float32."""


def parsing_spec(spec: FeatureSpec, names: Names[str]) -> dict[str, object]:
    """Describes transformed Examples to `tf.io.parse_example`.

    Args:
      spec: the features.
      names: which features to parse; `ITEM_ROW` is always among what is parsed.

    Returns:
      Name -> int64 `[batch]` for a category and the item row, ragged int64 `[batch, <=last]` for
      a sequence.
    """
    scalar = tf.io.FixedLenFeature([], tf.int64)
    ragged = tf.io.RaggedFeature(tf.int64, row_splits_dtype=tf.int64)
    parsed = {name: ragged if name in spec.sequences else scalar for name in names}
    return {ITEM_ROW: scalar, **parsed}
