"""What all readers of JSON requests share: errors that quote a value, type names, base64."""

import base64
import binascii
from array import array
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from tfrec.serving.json_format import format_value
from tfrec.serving.status import ServingError


def invalid(message: str) -> ServingError:
    """The error of a request that is not as it should be."""
    return ServingError("INVALID_ARGUMENT", message)


def format_error(value: Any, message: str) -> ServingError:
    """The same, with the value that is wrong in front."""
    return invalid(f"JSON Value: {format_value(value)} {message}")


def json_type(value: Any) -> str:
    """The name that messages give to the type of a parsed JSON value, e.g. `Number`."""
    if value is None or isinstance(value, bool):
        return {None: "Null", False: "False", True: "True"}[value]
    names: dict[type, str] = {dict: "Object", list: "Array", str: "String"}
    return names.get(type(value), "Number")


def is_base64(value: Any) -> bool:
    """Whether a value is `{"b64": "..."}`, which stands for bytes."""
    return isinstance(value, dict) and value.keys() == {"b64"} and isinstance(value["b64"], str)


def decode_base64(value: dict[str, Any]) -> bytes:
    """The bytes that `{"b64": "..."}` stands for; padding may be left out.

    Raises:
      ServingError: if the object has another form, or its text is no base64.
    """
    if not is_base64(value):
        raise format_error(value, "not formatted correctly for base64 data")
    text = "".join(value["b64"].split())
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise invalid("Unable to base64 decode") from error


def to_floats(values: list[int | float], dtype: DTypeLike) -> np.ndarray:
    """Numbers as an array of a float type, infinite where they are beyond its range.

    Raises:
      ServingError: if one is a whole number beyond the range of double.
    """
    try:
        return np.asarray(array(np.dtype(dtype).char, values))
    except OverflowError as error:
        raise invalid("JSON Parse error: Number too big to be stored in double.") from error
