"""FeatureSpec -> the TensorFlow Transform preprocessing function, and what comes out of it."""

from collections.abc import Callable, Mapping

import tensorflow as tf
import tensorflow_transform as tft

from tfrec.features.spec import FeatureSpec

Tensors = Mapping[str, tf.Tensor | tf.SparseTensor]


def preprocessing_fn(spec: FeatureSpec) -> Callable[[Tensors], dict[str, tf.Tensor]]:
    """Compiles the features to a function for TensorFlow Transform.

    The function takes raw columns as sparse strings `[batch, values]`. It returns int64 rows of
    each feature's vocabulary: dense `[batch]` for a category, sparse `[batch, <=last]` for a
    sequence. A value outside the vocabulary takes the row just behind it.

    Vocabularies are laid out in the order of a hash, not of frequency, so that the busiest rows
    of a table spread over all parameter servers.

    Args:
      spec: the features.

    Returns:
      The `preprocessing_fn`.
    """

    def preprocess(inputs: Tensors) -> dict[str, tf.Tensor]:
        vocabularies, outputs = {}, {}
        for name, feature in spec.categories.items():
            vocabularies[name] = tft.vocabulary(
                inputs[name],
                vocab_filename=name,
                frequency_threshold=feature.min_count if feature.min_count > 1 else None,
                fingerprint_shuffle=True,
            )
            outputs[name] = tft.apply_vocabulary(
                _first_value(inputs[name]), vocabularies[name], num_oov_buckets=1
            )
        for name, sequence in spec.sequences.items():
            outputs[name] = tft.apply_vocabulary(
                inputs[name], vocabularies[sequence.of], num_oov_buckets=1
            )
        return outputs

    return preprocess


def table_rows(spec: FeatureSpec, transform: tft.TFTransformOutput) -> dict[str, int]:
    """Counts the rows of each categorical feature's table: its vocabulary and one for the rest.

    Args:
      spec: the features.
      transform: the fitted transform.

    Returns:
      Feature name -> number of rows.
    """
    return {name: transform.vocabulary_size_by_name(name) + 1 for name in spec.categories}


def _first_value(column: tf.SparseTensor) -> tf.Tensor:
    """Makes `[batch]` strings of `[batch, <=1]` sparse ones; an absent value becomes empty."""
    column = tf.sparse.reset_shape(column, [column.dense_shape[0], 1])
    return tf.reshape(tf.sparse.to_dense(column, default_value=""), [-1])
