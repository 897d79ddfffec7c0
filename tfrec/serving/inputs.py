"""Inputs of a signature, checked before they are sent."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from tfrec.errors import UserError
from tfrec.serving.signature import Signature, TensorSpec


def check_inputs(
    place: str, inputs: Mapping[str, ArrayLike], signature: Signature
) -> dict[str, np.ndarray]:
    """Makes arrays of the signature's types; see `Client.predict`.

    Args:
      place: what an error names before the input, e.g. `shop.recommend`.
      inputs: a value for each input of the signature.
      signature: what the model takes.

    Returns:
      An array for each input; strings as object arrays of bytes.

    Raises:
      UserError: if the inputs do not fit the signature.
    """
    takes = ", ".join(f"{name}: {spec}" for name, spec in sorted(signature.inputs.items()))
    for name in sorted(signature.inputs.keys() - set(inputs)):
        raise UserError(f"{place}.{name}: is missing; give a value for each of {takes}")
    for name in sorted(set(inputs) - signature.inputs.keys()):
        raise UserError(f"{place}.{name}: is no input of this signature; it takes {takes}")
    return {
        name: _to_array(f"{place}.{name}", inputs[name], spec)
        for name, spec in signature.inputs.items()
    }


# Kinds of numpy types that an input of a kind takes without loss of meaning. V is bfloat16's.
_TAKES = {"f": "iuf", "i": "iu", "u": "iu", "b": "b", "c": "iufc", "V": "iufV"}


def _to_array(place: str, value: ArrayLike, spec: TensorSpec) -> np.ndarray:
    if spec.dtype == "string":
        return _to_strings(place, value, spec)
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise UserError(f"{place}: is ragged; make its rows equally long") from error
    wanted = np.dtype(spec.dtype)
    if array.size and array.dtype.kind not in _TAKES[wanted.kind]:
        raise UserError(f"{place}: takes {spec}, got {array.dtype}; convert it first")
    if array.size and wanted.kind in "iu":
        limits = np.iinfo(wanted)
        for extreme in (array.min(), array.max()):
            if not limits.min <= int(extreme) <= limits.max:
                raise UserError(
                    f"{place}: {extreme} does not fit; give {limits.min} to {limits.max}"
                )
    return array.astype(wanted)


def _to_strings(place: str, value: ArrayLike, spec: TensorSpec) -> np.ndarray:
    # numpy's own string types would drop trailing zero bytes.
    array = value if isinstance(value, np.ndarray) else np.array(value, object)
    strings = np.empty(array.size, object)
    for index, item in enumerate(array.ravel().tolist()):
        if not isinstance(item, str | bytes):
            raise UserError(f"{place}: takes {spec}, got {item!r}; give str or bytes")
        strings[index] = item.encode() if isinstance(item, str) else item
    return strings.reshape(array.shape)
