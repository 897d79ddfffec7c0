"""Trained weights in fewer bytes."""

from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import tensorflow as tf

from tfrec.errors import UserError

Precision: TypeAlias = Literal["float32", "float16", "int8"]
"""What the weights of a model are kept as."""

_LARGEST = 127


class Quantised(NamedTuple):
    """Precision in fewer bytes, which `dequantise` gives back, nearly.

    Attributes:
      values: float16 or int8, shaped as the weights.
      scales: float32, along one axis of the weights; none for float16.
    """

    values: np.ndarray
    scales: np.ndarray | None


def quantise(weights: np.ndarray, precision: Precision, axis: int) -> Quantised:
    """Rounds weights to half precision, or to 255 steps between their extremes.

        int8: value = round(weight / scale), scale = max |weight| / 127 of its place along `axis`

    No weight is off by more than half a scale; in half precision, of 11 bits, by 1/2048 of itself.

    Args:
      weights: float32.
      precision: `float16` or `int8`.
      axis: that along which each place has a scale of its own.

    Raises:
      UserError: if a weight is not finite, or beyond what half precision can hold.

    Sources: Krishnamoorthi, Quantizing deep convolutional networks for efficient inference, 2018,
    for a scale for each output; Guan et al., Post-Training 4-bit Quantization on Embedding Tables,
    2019, for one for each row.
    """
    if precision == "float16":
        with np.errstate(over="ignore"):
            return Quantised(_finite(weights.astype(np.float16)), None)
    others = tuple(other for other in range(weights.ndim) if other != axis % weights.ndim)
    scales = _finite(np.abs(weights).max(others, keepdims=True, initial=0)) / np.float32(_LARGEST)
    steps = np.divide(weights, scales, out=np.zeros_like(weights), where=scales > 0)
    return Quantised(np.rint(steps, out=steps).astype(np.int8), scales.reshape(-1))


def dequantise(values: tf.Tensor, scales: tf.Tensor | None) -> tf.Tensor:
    """Gives back weights that `quantise` rounded.

    Args:
      values: float16 or int8.
      scales: float32, such that the shapes of both go together.

    Returns:
      float32, shaped as `values`.
    """
    weights = tf.cast(values, tf.float32)
    return weights if scales is None else weights * scales


def _finite(values: np.ndarray) -> np.ndarray:
    if np.isfinite(values).all():
        return values
    raise UserError(
        "serving.precision: a trained weight is not finite, or beyond what float16 can hold; take "
        "float32"
    )
