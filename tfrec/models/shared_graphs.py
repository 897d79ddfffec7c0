"""Graphs that several signatures of a model have in common: traced, and saved, once."""

from collections.abc import Mapping, Sequence

import tensorflow as tf

from tfrec.embeddings.features import Features
from tfrec.features import FeatureSpec
from tfrec.features.parsing import ITEM_ROW, parsing_spec
from tfrec.features.signature import raw_inputs, sparse_inputs


def shared_transform(
    layer: tf.Module, spec: FeatureSpec, names: Sequence[str]
) -> tf.types.experimental.PolymorphicFunction:
    """Makes `transform_features` for always the same features a graph of its own.

    Args:
      layer: the transform graph.
      spec: the features.
      names: which of them are transformed.
    """

    @tf.function(autograph=False, input_signature=[raw_inputs(spec, names)])
    def transform(raw: Mapping[str, tf.Tensor]) -> Features:
        return transform_features(layer, raw)

    return transform


def transform_features(layer: tf.Module, raw: Mapping[str, tf.Tensor]) -> Features:
    """Raw features, as `raw_inputs` describes them -> transformed ones, ragged for sparse."""
    columns = layer(sparse_inputs(raw))
    return {
        name: _ragged(column) if isinstance(column, tf.SparseTensor) else column
        for name, column in columns.items()
    }


def transformed_inputs(spec: FeatureSpec, names: Sequence[str]) -> dict[str, tf.TypeSpec]:
    """Describes transformed features to a graph that takes them: name -> `[batch, ...]`."""
    parsing = parsing_spec(spec, names)
    parsing.pop(ITEM_ROW)
    return {name: _type_of(feature) for name, feature in parsing.items()}


def _type_of(parsing: object) -> tf.TypeSpec:
    if isinstance(parsing, tf.io.RaggedFeature):
        return tf.RaggedTensorSpec([None, None], parsing.dtype, 1, parsing.row_splits_dtype)
    assert isinstance(parsing, tf.io.FixedLenFeature)
    return tf.TensorSpec([None, *parsing.shape], parsing.dtype)


def _ragged(column: tf.SparseTensor) -> tf.RaggedTensor:
    """Closes the gaps where a client left a place empty, which `from_sparse` would refuse."""
    rows, count = column.indices[:, 0], column.dense_shape[0]
    return tf.RaggedTensor.from_value_rowids(column.values, rows, nrows=count, validate=False)
