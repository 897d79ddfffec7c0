"""Rows of raw features as inputs of a signature."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf


def feature_inputs(
    specs: Mapping[str, tf.TensorSpec], rows: Sequence[Mapping[str, Any]]
) -> dict[str, np.ndarray]:
    """Makes inputs of raw features: what a row lacks is missing.

    Args:
      specs: what a signature takes.
      rows: feature -> string, number, or a list of either.

    Returns:
      An array for each of the specs; strings as bytes.
    """
    return {name: _column(spec, [row.get(name) for row in rows]) for name, spec in specs.items()}


def _column(spec: tf.TensorSpec, values: Sequence[Any]) -> np.ndarray:
    if spec.dtype != tf.string:
        missing = np.nan if spec.shape.rank == 1 else [0] * spec.shape[1]
        filled = [missing if value is None else value for value in values]
        shape = len(values), *spec.shape[1:]
        return np.asarray(filled, spec.dtype.as_numpy_dtype).reshape(shape)
    if spec.shape.rank == 1:
        return np.array([(value or "").encode() for value in values], object)
    lists = [[text.encode() for text in value or ()] for value in values]
    width = max(map(len, lists), default=0)
    filled = [row + [b""] * (width - len(row)) for row in lists]
    return np.array(filled, object).reshape(len(lists), width)
