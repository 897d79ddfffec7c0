"""FeatureSpec -> inputs of a serving signature, and the way from them into the transform graph."""

from collections.abc import Mapping
from collections.abc import Sequence as Names

import tensorflow as tf

from tfrec.features.spec import Feature, FeatureSpec, MultiCategorical, Numeric, Sequence, Vector


def raw_inputs(spec: FeatureSpec, names: Names[str]) -> dict[str, tf.TensorSpec]:
    """Describes raw features as a client sends them.

    Args:
      spec: the features.
      names: which of them the signature takes.

    Returns:
      Name -> strings `[batch]` for a category or a text, an empty one where there is none;
      strings `[batch, values]` for a sequence or several categories, rows filled up with empty
      ones; float32 `[batch]` for a number, NaN where there is none; float32 `[batch, dim]` for a
      vector.
    """
    return {name: _input(name, spec[name]) for name in names}


def sparse_inputs(inputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor | tf.SparseTensor]:
    """Turns a client's tensors into the columns that the transform graph takes.

    Args:
      inputs: tensors as `raw_inputs` describes them; whole numbers are moments.

    Returns:
      Name -> sparse `[batch, values]` without what is missing; vectors as they are.
    """
    return {name: _sparse(column) for name, column in inputs.items()}


def _input(name: str, feature: Feature) -> tf.TensorSpec:
    if isinstance(feature, Numeric):
        return tf.TensorSpec([None], tf.float32, name)
    if isinstance(feature, Vector):
        return tf.TensorSpec([None, feature.dim], tf.float32, name)
    several = isinstance(feature, Sequence | MultiCategorical)
    return tf.TensorSpec([None, None] if several else [None], tf.string, name)


def _sparse(column: tf.Tensor) -> tf.Tensor | tf.SparseTensor:
    if column.dtype == tf.string:
        return tf.sparse.from_dense(column if column.shape.rank == 2 else column[:, tf.newaxis])
    if column.shape.rank == 2:
        return column
    present = tf.math.is_finite(column) if column.dtype.is_floating else tf.ones_like(column, bool)
    rows = tf.where(present)  # [present, 1]
    indices = tf.concat([rows, tf.zeros_like(rows)], axis=1)
    shape = tf.stack([tf.size(column, tf.int64), tf.constant(1, tf.int64)])
    return tf.SparseTensor(indices, tf.boolean_mask(column, present), shape)
