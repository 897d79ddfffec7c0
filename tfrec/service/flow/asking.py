"""Asking the models of the flow about one shopper."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfrec.service.flow.models import Answer, Models
from tfrec.serving.query_inputs import query_input
from tfrec.serving.signature import TensorSpec

_encode = np.frompyfunc(lambda text: text.encode() if isinstance(text, str) else text, 1, 1)


def inputs_of(
    features: Mapping[str, Any], specs: Mapping[str, TensorSpec], given: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """The inputs of a signature for one shopper.

    Args:
      features: raw features; what they lack is missing.
      specs: what the signature takes.
      given: inputs that are none of these features.

    Returns:
      An array for each input; strings as bytes.

    Raises:
      UserError: if a feature is not what the signature takes.
    """
    made = {
        name: _encoded(query_input(name, features.get(name), spec))
        for name, spec in specs.items()
        if name not in given
    }
    return {**made, **given}


def ids_input(ids: Sequence[str] | np.ndarray) -> np.ndarray:
    """Ids of items as signatures take them: `[1, n]` bytes."""
    return _encoded(np.asarray(ids, object).reshape(1, -1))


async def ask(
    models: Models,
    model: str,
    signature: str,
    features: Mapping[str, Any],
    given: Mapping[str, np.ndarray],
) -> Answer:
    """Runs a signature for one shopper; see `inputs_of` and `Models.run`."""
    known = (await models.signatures(model))[signature]
    return await models.run(model, signature, inputs_of(features, known.inputs, given))


def _encoded(array: np.ndarray) -> np.ndarray:
    return _encode(array) if array.dtype == object and array.size else array
