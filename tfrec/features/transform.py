"""FeatureSpec -> the TensorFlow Transform preprocessing function."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeAlias

import tensorflow as tf
import tensorflow_transform as tft

from tfrec.features.spec import (
    Categorical,
    FeatureSpec,
    MultiCategorical,
    Numeric,
    Sequence,
    Text,
    Vector,
)

Column: TypeAlias = tf.Tensor | tf.SparseTensor
Tensors = Mapping[str, Column]

ValueFunction = Callable[[str, tf.Tensor], tf.Tensor]
"""A feature's name and raw values, in any number -> as many values of the same type."""

FINGERPRINTS = 2**63 - 1
"""Number of fingerprints that strings are hashed to where rows are given out in training.

Among a hundred million strings two share one with a probability of about one in two thousand.
"""

MISSING = -1
"""What stands for a missing value in the place of a fingerprint."""


def preprocessing_fn(
    spec: FeatureSpec, first: ValueFunction | None = None
) -> Callable[[Tensors], dict[str, Column]]:
    """Compiles the features to a function for TensorFlow Transform.

    The function takes raw columns as `raw_schema` describes them. It returns, for a batch:

    | kind | output |
    |---|---|
    | categorical, bucketised numeric | int64 `[batch]`, rows of the feature's table |
    | multi_categorical, sequence, text | sparse int64 `[batch, values]`, rows of the table |
    | any of them with lookup `dynamic` | likewise, but fingerprints of the strings |
    | other numeric | float32 `[batch]`; int64 for the role `time` |
    | vector | float32 `[batch, dim]` |

    Vocabularies are laid out in the order of a hash, not of frequency, so that the busiest rows
    of a table spread over all parameter servers.

    Args:
      spec: the features.
      first: what is done to raw values before all else; to those of a sequence as values of the
        feature that it lists.

    Returns:
      The `preprocessing_fn`.
    """

    def preprocess(inputs: Tensors) -> dict[str, Column]:
        if first:
            inputs = {
                name: _map(partial(first, getattr(spec[name], "of", name)), column)
                for name, column in inputs.items()
            }
        look_up = {
            name: _lookup(name, feature, inputs[name])
            for name, feature in spec.root.items()
            if isinstance(feature, Categorical | MultiCategorical) and feature.share is None
        }
        outputs: dict[str, Column] = {}
        for name, feature in spec.root.items():
            column = inputs[name]
            if isinstance(feature, Categorical):
                outputs[name] = look_up[spec.table_of(name)](_first_value(column, ""))
            elif isinstance(feature, MultiCategorical | Sequence):
                outputs[name] = look_up[spec.table_of(name)](column)
            elif isinstance(feature, Numeric):
                outputs[name] = _number(feature, column)
            elif isinstance(feature, Text):
                outputs[name] = _hashed_ngrams(feature, column)
            elif isinstance(feature, Vector):
                outputs[name] = column
        return outputs

    return preprocess


def _lookup(
    name: str, feature: Categorical | MultiCategorical, column: tf.SparseTensor
) -> Callable[[Column], Column]:
    """Returns the function from strings, dense or sparse, to rows or to fingerprints."""
    if feature.lookup == "vocabulary":
        vocabulary = tft.vocabulary(
            column,
            top_k=feature.rows,
            vocab_filename=name,
            frequency_threshold=feature.min_count if feature.min_count > 1 else None,
            fingerprint_shuffle=True,
        )
        return lambda strings: tft.apply_vocabulary(
            strings, vocabulary, num_oov_buckets=feature.unknown_rows
        )
    if feature.lookup == "dynamic":
        return lambda strings: _map(_fingerprint, strings)
    rows = feature.rows
    assert rows is not None  # the spec has checked it

    def known(strings: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        if feature.lookup == "hash":
            return strings != "", tf.strings.to_hash_bucket_fast(strings, rows)
        is_number = tf.strings.regex_full_match(strings, r"\d{1,18}")
        numbers = tf.strings.to_number(tf.where(is_number, strings, "0"), tf.int64)
        return is_number & (numbers < rows), numbers

    def look_up(strings: tf.Tensor) -> tf.Tensor:
        is_known, found = known(strings)
        unknown = rows + tf.strings.to_hash_bucket_fast(strings, feature.unknown_rows)
        return tf.where(is_known, found, unknown)

    return lambda strings: _map(look_up, strings)


def _fingerprint(strings: tf.Tensor) -> tf.Tensor:
    hashed = tf.strings.to_hash_bucket_fast(strings, FINGERPRINTS)
    return tf.where(strings == "", tf.constant(MISSING, tf.int64), hashed)


def _number(feature: Numeric, column: tf.SparseTensor) -> tf.Tensor:
    if feature.transform == "none":
        return _first_value(column, 0)
    if feature.transform == "bucketise":
        assert feature.buckets is not None  # the spec has checked it
        return _first_value(tft.bucketize(column, feature.buckets), feature.buckets)
    if feature.transform == "log":
        # Rows below `min` are rejected in preparation; a client's are lifted to it.
        column = _map(lambda x: tf.math.log1p(tf.maximum(x, feature.min)), column)
    return _first_value(tft.scale_to_z_score(column), 0.0)


def _hashed_ngrams(feature: Text, column: tf.SparseTensor) -> tf.SparseTensor:
    text = tf.strings.lower(_first_value(column, ""), encoding="utf-8")
    words = tf.strings.split(tf.strings.regex_replace(text, r"[^\pL\pN]+", " ")).to_sparse()
    ngrams = tft.ngrams(words, (1, feature.ngrams), " ")
    return _map(lambda strings: tf.strings.to_hash_bucket_fast(strings, feature.rows), ngrams)


def _map(function: Callable[[tf.Tensor], tf.Tensor], column: Column) -> Column:
    """Applies a function to a dense column, or to the values of a sparse one."""
    if isinstance(column, tf.SparseTensor):
        return tf.SparseTensor(column.indices, function(column.values), column.dense_shape)
    return function(column)


def _first_value(column: tf.SparseTensor, default: str | float) -> tf.Tensor:
    """Makes `[batch]` of a sparse `[batch, <=1]`; an absent value becomes the default."""
    column = tf.sparse.reset_shape(column, [column.dense_shape[0], 1])
    dense = tf.sparse.to_dense(column, default_value=tf.cast(default, column.dtype))
    return tf.reshape(dense, [-1])
