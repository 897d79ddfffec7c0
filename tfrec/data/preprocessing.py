"""The preprocessing function of a config: the features' own, behind the shop's."""

from collections.abc import Callable

from tfrec.errors import UserError
from tfrec.features import FeatureSpec
from tfrec.features.transform import Column, Tensors, ValueFunction, preprocessing_fn
from tfrec.references import find, source_digest


def compile_preprocessing(
    spec: FeatureSpec, reference: str | None
) -> Callable[[Tensors], dict[str, Column]]:
    """Compiles the features, and what the shop does to raw values before.

    Args:
      spec: the features.
      reference: `data.preprocessing`.

    Returns:
      The function for TensorFlow Transform.

    Raises:
      UserError: if the reference leads to no function.
    """
    return preprocessing_fn(spec, _find(reference) if reference else None)


def preprocessing_digest(reference: str | None) -> dict[str, str]:
    """What tells the shop's function from an edited one; nothing where there is none."""
    return {"preprocessing": source_digest(_find(reference))} if reference else {}


def _find(reference: str) -> ValueFunction:
    function = find(reference, "data.preprocessing")
    if not callable(function):
        raise UserError(
            f"data.preprocessing: {reference!r} is no function; name one that takes a feature's "
            "name and a tensor of its values"
        )
    return function
