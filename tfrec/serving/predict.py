"""The Predict call, apart from any transport."""

import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from tensorflow_serving.apis import predict_pb2

from tfrec.serving.loaded_signature import LoadedSignature
from tfrec.serving.monitoring import observe_run
from tfrec.serving.request_size import array_size, shape_size
from tfrec.serving.servable import Servable
from tfrec.serving.status import ServingError
from tfrec.serving.tensors import from_proto

DEFAULT_SIGNATURE = "serving_default"


def predict(
    servable: Servable, request: predict_pb2.PredictRequest, timeout_seconds: float | None = None
) -> dict[str, np.ndarray]:
    """Answers a PredictRequest.

    Args:
      servable: the version that the request's `model_spec` has been resolved to.
      request: inputs, signature name and output filter are read from it.
      timeout_seconds: the run is stopped after this time; None sets no limit.

    Returns:
      An array for each output that is asked for.

    Raises:
      ServingError: if the request does not fit the signature or the graph fails.
    """
    name = request.model_spec.signature_name or DEFAULT_SIGNATURE
    signature = servable.signatures.get(name)
    if signature is None:
        raise ServingError("FAILED_PRECONDITION", f'Serving signature key "{name}" not found.')
    given = request.inputs
    _check_names(signature, given)
    inputs = {alias: _parse(alias, given[alias]) for alias in signature.inputs if alias in given}
    outputs = _select_outputs(signature, request.output_filter)
    return _run(request.model_spec.name, servable, signature, inputs, outputs, timeout_seconds)


def predict_arrays(
    model: str,
    servable: Servable,
    signature: LoadedSignature,
    inputs: Mapping[str, np.ndarray],
    timeout_seconds: float | None = None,
) -> dict[str, np.ndarray]:
    """The same call on arrays, for all outputs.

    Args:
      model: the model's name, for the metrics.
      servable: the version to run.
      signature: one of its signatures.
      inputs: an array for each input of the signature; strings as object arrays of bytes.
      timeout_seconds: the run is stopped after this time; None sets no limit.

    Returns:
      An array for each output, in the order of their names.

    Raises:
      ServingError: if the inputs do not fit the signature or the graph fails.
    """
    _check_names(signature, inputs)
    return _run(model, servable, signature, inputs, list(signature.outputs), timeout_seconds)


def expected_seconds(servable: Servable, request: predict_pb2.PredictRequest) -> float:
    """How long the model runs for a PredictRequest of a few bytes, by its last runs of that size.

    Args:
      servable: the version that the request's `model_spec` has been resolved to.
      request: signature name, shapes of the inputs, and single numbers are read from it.

    Returns:
      Seconds; 0 where the request will be refused, infinite where the last runs do not tell.
    """
    signature = servable.signatures.get(request.model_spec.signature_name or DEFAULT_SIGNATURE)
    if signature is None:
        return 0.0
    given = request.inputs
    sizes: list[tuple[int, ...]] = []
    for name in signature.inputs:
        proto = given[name] if name in given else signature.defaults.get(name)
        if proto is None:
            return 0.0
        shape = [dim.size for dim in proto.tensor_shape.dim]
        # A few bytes can stand for many numbers, all alike.
        if math.prod(shape) > _MOST_NUMBERS:
            return math.inf
        try:
            sizes.append(shape_size(shape) if shape else array_size(from_proto(proto)))
        except ValueError:
            return 0.0
    return servable.expected_seconds(signature, tuple(sizes))


_MOST_NUMBERS = 4096


def _check_names(signature: LoadedSignature, given: Collection[str]) -> None:
    names, wanted = set(given), signature.inputs.keys()
    if names == wanted:
        return
    defaults = set(signature.defaults)
    if len(names) > len(wanted) or (len(names) < len(wanted) and not defaults):
        raise ServingError(
            "INVALID_ARGUMENT",
            f"input size does not match signature: {len(names)}!={len(wanted)}"
            f" len({_braced(names)}) != len({_braced(wanted)})."
            f" Sent extra: {_braced(names - wanted)}."
            f" Missing but required: {_braced(wanted - names)}.",
        )
    for alias in sorted(wanted - names - defaults):
        raise ServingError(
            "INVALID_ARGUMENT",
            f"Signature input alias: {alias}(feed name: {signature.inputs[alias].name}) not found"
            " in request and no default value provided. Inputs expected to be in the request"
            f" {_braced(names)}, or default input alias set: {','.join(sorted(defaults))}",
        )
    if names - wanted:
        raise ServingError(
            "INVALID_ARGUMENT",
            f"Inputs contains invalid name. Used request inputs: {','.join(sorted(names & wanted))}"
            f", request input: {','.join(sorted(names))}",
        )


def _braced(names: Collection[str]) -> str:
    return "{" + ",".join(sorted(names)) + "}"


def _parse(alias: str, proto: object) -> np.ndarray:
    try:
        return from_proto(proto)
    except (ValueError, MemoryError) as error:
        raise ServingError("INVALID_ARGUMENT", f"tensor parsing error: {alias}") from error


def _select_outputs(signature: LoadedSignature, output_filter: Sequence[str]) -> Sequence[str]:
    seen: set[str] = set()
    for alias in output_filter:
        if alias not in signature.outputs:
            raise ServingError(
                "INVALID_ARGUMENT",
                f"output tensor alias not found in signature: {alias} Outputs expected to be in"
                f" the set {_braced(signature.outputs)}.",
            )
        if alias in seen:
            raise ServingError("INVALID_ARGUMENT", f"duplicate output tensor alias: {alias}")
        seen.add(alias)
    return output_filter or list(signature.outputs)


def _run(
    model: str,
    servable: Servable,
    signature: LoadedSignature,
    inputs: Mapping[str, np.ndarray],
    outputs: Sequence[str],
    timeout_seconds: float | None,
) -> dict[str, np.ndarray]:
    if len(inputs) < len(signature.inputs):
        missing = signature.inputs.keys() - inputs.keys()
        inputs = {**inputs, **{name: from_proto(signature.defaults[name]) for name in missing}}
    return observe_run(
        model,
        "Predict",
        servable.run,
        signature,
        inputs,
        outputs,
        timeout_seconds,
    )
