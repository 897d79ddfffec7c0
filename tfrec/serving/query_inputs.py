"""One shopper's raw features as inputs of a signature."""

import reprlib
from collections.abc import Iterable
from typing import Any

import numpy as np

from tfrec.errors import UserError
from tfrec.serving.signature import TensorSpec


def query_input(name: str, value: Any, spec: TensorSpec) -> np.ndarray:
    """Makes a batch of one of a raw value.

    Args:
      name: of the feature.
      value: a string, number or list of either; None where it is missing.
      spec: what the signature takes.

    Returns:
      `[1]`, or `[1, values]` for a list; strings as object arrays of `str`.

    Raises:
      UserError: if the value is not what the signature takes.
    """
    shape = (1, *(size or 0 for size in (spec.shape or ())[1:]))
    if spec.dtype == "string":
        return _strings(name, value, several=len(shape) == 2)
    if value is None:
        return np.full(shape, np.nan if len(shape) == 1 else 0, spec.dtype)
    return _numbers(name, value, shape).astype(spec.dtype)


def _strings(name: str, value: Any, several: bool) -> np.ndarray:
    is_list = several and isinstance(value, Iterable) and not isinstance(value, str)
    values = ["" if item is None else item for item in (value if is_list else [value])]
    for item in values:
        if not isinstance(item, str):
            raise UserError(f"{name}: {reprlib.repr(item)} is no text; give it in quotes")
    return np.asarray([values or [""]] if several else values, object)


def _numbers(name: str, value: Any, shape: tuple[int, ...]) -> np.ndarray:
    try:
        numbers = np.asarray([value], np.float64)
    except (TypeError, ValueError):
        numbers = np.empty(0)
    if numbers.shape == shape and (len(shape) == 1 or np.isfinite(numbers).all()):
        return numbers
    given = f"{name}: {reprlib.repr(value)}"
    if len(shape) == 1:
        raise UserError(f"{given} is no number; give one, e.g. 3.5")
    raise UserError(f"{given} is no vector of {shape[1]} numbers; give as many")
