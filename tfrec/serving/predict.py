"""The Predict call, apart from any transport."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import predict_pb2

from tfrec.serving.monitoring import observe_run
from tfrec.serving.servable import Servable
from tfrec.serving.status import ServingError
from tfrec.serving.tensors import fill_proto, from_proto

DEFAULT_SIGNATURE = "serving_default"


def predict(
    servable: Servable, request: predict_pb2.PredictRequest, timeout_seconds: float | None = None
) -> predict_pb2.PredictResponse:
    """Answers a PredictRequest.

    Args:
      servable: the version that the request's `model_spec` has been resolved to.
      request: inputs, signature name and output filter are read from it.
      timeout_seconds: the run is stopped after this time; None sets no limit.

    Returns:
      The outputs in typed fields, and the name of the signature that answered.

    Raises:
      ServingError: if the request does not fit the signature or the graph fails.
    """
    name = request.model_spec.signature_name or DEFAULT_SIGNATURE
    signature = servable.signatures.get(name)
    if signature is None:
        raise ServingError("FAILED_PRECONDITION", f'Serving signature key "{name}" not found.')
    _check_names(signature, request.inputs)
    inputs = {alias: _parse(alias, request.inputs[alias]) for alias in sorted(request.inputs)}
    outputs = _select_outputs(signature, request.output_filter)
    values = _run(request.model_spec.name, servable, signature, inputs, outputs, timeout_seconds)
    response = predict_pb2.PredictResponse()
    response.model_spec.signature_name = name
    for alias, value in values.items():
        fill_proto(value, response.outputs[alias])
    return response


def predict_arrays(
    model: str,
    servable: Servable,
    signature: meta_graph_pb2.SignatureDef,
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
    return _run(model, servable, signature, inputs, sorted(signature.outputs), timeout_seconds)


def _check_names(signature: meta_graph_pb2.SignatureDef, given: Collection[str]) -> None:
    names, wanted = set(given), set(signature.inputs)
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


def _select_outputs(
    signature: meta_graph_pb2.SignatureDef, output_filter: Sequence[str]
) -> Sequence[str]:
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
    return output_filter or sorted(signature.outputs)


def _run(
    model: str,
    servable: Servable,
    signature: meta_graph_pb2.SignatureDef,
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
