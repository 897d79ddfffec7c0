"""FeatureSpec -> inputs of a serving signature, and the way from them into the transform graph."""

from collections.abc import Mapping
from collections.abc import Sequence as Names

import tensorflow as tf

from tfrec.features.spec import FeatureSpec


def raw_inputs(spec: FeatureSpec, names: Names[str]) -> dict[str, tf.TensorSpec]:
    """Describes raw features as a client sends them: strings, an empty one where there is none.

    Args:
      spec: the features.
      names: which of them the signature takes.

    Returns:
      Name -> strings `[batch]` for a category, `[batch, values]` for a sequence, where rows are
      filled up with empty strings.
    """
    return {
        name: tf.TensorSpec([None, None] if name in spec.sequences else [None], tf.string, name)
        for name in names
    }


def sparse_inputs(inputs: Mapping[str, tf.Tensor]) -> dict[str, tf.SparseTensor]:
    """Turns a client's tensors into the sparse columns that the transform graph takes.

    Args:
      inputs: strings `[batch]` or `[batch, values]`.

    Returns:
      Name -> sparse strings `[batch, values]` without the empty ones.
    """
    return {
        name: tf.sparse.from_dense(column if column.shape.rank == 2 else column[:, tf.newaxis])
        for name, column in inputs.items()
    }
