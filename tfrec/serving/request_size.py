"""How large a request is, as far as that decides how long its run takes."""

from collections.abc import Mapping, Sequence

import numpy as np

from tfrec.serving.loaded_signature import LoadedSignature

Size = tuple[tuple[int, ...], ...]
"""Bits of the dimensions, by input: requests of one size differ by less than two in each."""


def request_size(signature: LoadedSignature, inputs: Mapping[str, np.ndarray]) -> Size:
    """The size of a request's inputs, in the order of the signature's."""
    return tuple([array_size(inputs[name]) for name in signature.inputs if name in inputs])


def array_size(array: np.ndarray) -> tuple[int, ...]:
    """The bits of an array's dimensions.

    A single whole number may say how much is to come out, such as how many items to recommend. So
    it counts like a dimension.
    """
    if not array.ndim and array.dtype.kind in "iu":
        return shape_size((array.item(),))
    return shape_size(array.shape)


def shape_size(shape: Sequence[int]) -> tuple[int, ...]:
    """The bits of dimensions."""
    return tuple(map(int.bit_length, shape))
