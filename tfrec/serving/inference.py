"""The Classify, Regress and MultiInference calls, apart from any transport.

They feed serialised `tf.train.Example`s to a signature's one input and read results from outputs
of set names. A signature's `method_name` is not looked at.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    inference_pb2,
    input_pb2,
    regression_pb2,
)

from tfrec.serving.loaded_signature import LoadedSignature
from tfrec.serving.monitoring import count_examples, observe_run
from tfrec.serving.predict import DEFAULT_SIGNATURE
from tfrec.serving.servable import Servable
from tfrec.serving.status import ServingError

_INPUTS = tf.saved_model.CLASSIFY_INPUTS
_CLASSES = tf.saved_model.CLASSIFY_OUTPUT_CLASSES
_SCORES = tf.saved_model.CLASSIFY_OUTPUT_SCORES
_VALUES = tf.saved_model.REGRESS_OUTPUTS


def classify(
    servable: Servable,
    request: classification_pb2.ClassificationRequest,
    timeout_seconds: float | None = None,
) -> classification_pb2.ClassificationResponse:
    """Answers a ClassificationRequest.

    Args:
      servable: the version that the request's `model_spec` has been resolved to.
      request: examples and signature name are read from it.
      timeout_seconds: the run is stopped after this time; None sets no limit.

    Returns:
      Labels and scores of each example, and the name of the signature that answered.

    Raises:
      ServingError: if the signature or the request is none of this kind, or the graph fails.
    """
    response = classification_pb2.ClassificationResponse()
    _answer(_CLASSIFY, servable, request, timeout_seconds, response)
    return response


def regress(
    servable: Servable,
    request: regression_pb2.RegressionRequest,
    timeout_seconds: float | None = None,
) -> regression_pb2.RegressionResponse:
    """Answers a RegressionRequest; as `classify`, but with one value an example."""
    response = regression_pb2.RegressionResponse()
    _answer(_REGRESS, servable, request, timeout_seconds, response)
    return response


def multi_inference(
    servable: Servable,
    request: inference_pb2.MultiInferenceRequest,
    timeout_seconds: float | None = None,
) -> inference_pb2.MultiInferenceResponse:
    """Answers a MultiInferenceRequest: several signatures in one run, on the same examples.

    Args:
      servable: the version that the first task's `model_spec` has been resolved to.
      request: examples, and a signature and a method for each task.
      timeout_seconds: the run is stopped after this time; None sets no limit.

    Returns:
      A result a task, in their order, each with its model's and its signature's name.

    Raises:
      ServingError: if tasks differ in model or input, repeat a signature, one of them is wrong,
        or the graph fails.
    """
    heads = _heads(servable, request)
    joint = meta_graph_pb2.SignatureDef()
    for head in heads:
        joint.inputs[_INPUTS].CopyFrom(head.signature.inputs[_INPUTS])
        for alias in head.outputs:
            info = head.signature.outputs[alias]
            joint.outputs[info.name].CopyFrom(info)
    examples = _examples(request.input)
    tensors = _run(
        "MultiInference",
        request.tasks[0].model_spec.name,
        servable,
        LoadedSignature.of(joint),
        examples,
        sorted(joint.outputs),
        timeout_seconds,
    )
    response = inference_pb2.MultiInferenceResponse()
    for task, head in zip(request.tasks, heads, strict=True):
        result = response.results.add()
        result.model_spec.name = task.model_spec.name
        result.model_spec.signature_name = _signature_name(task)
        values = {alias: tensors[head.signature.outputs[alias].name] for alias in head.outputs}
        target = getattr(result, head.method.result)
        target.SetInParent()
        head.method.fill(values, len(examples), target)
    return response


class _Method(NamedTuple):
    """How one kind of call reads a signature.

    Attributes:
      api: what metrics call it.
      outputs: names the outputs to run, once the signature has been checked.
      fill: writes their values for a number of examples to a result.
      result: the field of a multi-inference result that holds it.
    """

    api: str
    outputs: Callable[[LoadedSignature], list[str]]
    fill: Callable[[Mapping[str, np.ndarray], int, Any], None]
    result: str


class _Head(NamedTuple):
    """One task of a multi-inference request."""

    method: _Method
    signature: LoadedSignature
    outputs: list[str]


def _answer(
    method: _Method, servable: Servable, request: Any, timeout_seconds: float | None, response: Any
) -> None:
    name = _signature_name(request)
    signature = _signature(servable, name, "No signature was found with the name")
    outputs = method.outputs(signature)
    examples = _examples(request.input)
    model = request.model_spec.name
    values = _run(method.api, model, servable, signature, examples, outputs, timeout_seconds)
    response.model_spec.signature_name = name
    method.fill(values, len(examples), response.result)


def _run(
    api: str,
    model: str,
    servable: Servable,
    signature: LoadedSignature,
    examples: np.ndarray,
    outputs: list[str],
    timeout_seconds: float | None,
) -> dict[str, np.ndarray]:
    inputs = {_INPUTS: examples}
    values = observe_run(model, api, servable.run, signature, inputs, outputs, timeout_seconds)
    count_examples(model, len(examples))
    return values


def _heads(servable: Servable, request: inference_pb2.MultiInferenceRequest) -> list[_Head]:
    heads: dict[str, _Head] = {}
    for task in request.tasks:
        if not task.model_spec.name:
            raise _invalid("Found ModelSpec with an empty model name.")
        if task.model_spec.name != request.tasks[0].model_spec.name:
            raise _invalid(
                "All ModelSpecs in a MultiInferenceRequest must access the same model name."
            )
        name = _signature_name(task)
        if name in heads:
            raise _invalid(f"Duplicate evaluation of signature: {name}")
        signature = _signature(servable, name, "Requested signature not found in model graph")
        method = _METHODS.get(task.method_name)
        if method is None:
            raise ServingError(
                "UNIMPLEMENTED", f"Unsupported signature method_name: {task.method_name}"
            )
        heads[name] = _Head(method, signature, method.outputs(signature))
        first = next(iter(heads.values()))
        if signature.inputs[_INPUTS].name != first.signature.inputs[_INPUTS].name:
            raise _invalid("Input tensor must be the same for all Signatures.")
    return list(heads.values())


def _signature_name(request: Any) -> str:
    return request.model_spec.signature_name or DEFAULT_SIGNATURE


def _signature(servable: Servable, name: str, complaint: str) -> LoadedSignature:
    if name not in servable.signatures:
        raise _invalid(f"{complaint}: {name}")
    return servable.signatures[name]


def _examples(given: input_pb2.Input) -> np.ndarray:
    """The serialised examples. Bytes of two messages in a row are those of the merged message."""
    context, messages = b"", given.example_list.examples
    if given.HasField("example_list_with_context"):
        context = given.example_list_with_context.context.SerializeToString()
        messages = given.example_list_with_context.examples
    if not messages:
        raise _invalid("Input is empty.")
    array = np.empty(len(messages), object)
    array[:] = [context + message.SerializeToString() for message in messages]
    return array


def _classification_outputs(signature: LoadedSignature) -> list[str]:
    if len(signature.inputs) != 1:
        raise _invalid("Expected one input Tensor.")
    if len(signature.outputs) not in (1, 2):
        raise _invalid(f"Expected one or two output Tensors, found {len(signature.outputs)}")
    if _INPUTS not in signature.inputs:
        raise _unfit(f"No classification inputs found in SignatureDef: {signature.proto}")
    outputs = [alias for alias in (_CLASSES, _SCORES) if alias in signature.outputs]
    if not outputs:
        raise _unfit(
            "Expected classification signature outputs to contain at least one of"
            f' "{_CLASSES}" or "{_SCORES}". Signature was: {signature.proto}'
        )
    return outputs


def _regression_outputs(signature: LoadedSignature) -> list[str]:
    if len(signature.inputs) != 1:
        raise _invalid("Expected one input Tensor.")
    if len(signature.outputs) != 1:
        raise _invalid("Expected one output Tensor.")
    if _INPUTS not in signature.inputs:
        raise _unfit(f"No regression inputs found in SignatureDef: {signature.proto}")
    if _VALUES not in signature.outputs:
        raise _unfit(f"No regression outputs found in SignatureDef: {signature.proto}")
    return [_VALUES]


def _fill_classifications(
    values: Mapping[str, np.ndarray], count: int, result: classification_pb2.ClassificationResult
) -> None:
    for alias, dtype in ((_CLASSES, types_pb2.DT_STRING), (_SCORES, types_pb2.DT_FLOAT)):
        if alias in values:
            _check_classification(alias, values[alias], dtype, count)
    widths = [array.shape[1] for array in values.values()]
    if widths[0] != widths[-1]:
        raise _invalid(
            f"Tensors class and score should match in dim_size(1). Got {widths[0]} vs. {widths[-1]}"
        )
    shape = (count, widths[0])
    labels = values.get(_CLASSES, np.full(shape, b"", object)).tolist()
    scores = values.get(_SCORES, np.zeros(shape, np.float32)).tolist()
    for row_labels, row_scores in zip(labels, scores, strict=True):
        result.classifications.add().classes.extend(
            classification_pb2.Class(label=label.decode(errors="replace"), score=score)
            for label, score in zip(row_labels, row_scores, strict=True)
        )


def _check_classification(alias: str, array: np.ndarray, dtype: int, count: int) -> None:
    if array.ndim != 2:
        raise _invalid(
            "Expected Tensor shape: [batch_size num_classes] but got " + _shape_text(array)
        )
    if _type_name(array) != types_pb2.DataType.Name(dtype):
        raise _invalid(
            f"Expected {alias} Tensor of {types_pb2.DataType.Name(dtype)}. Got: {_type_name(array)}"
        )
    if len(array) != count:
        raise _invalid(f"Expected {alias} output batch size of {count}. Got: {len(array)}")


def _fill_regressions(
    values: Mapping[str, np.ndarray], count: int, result: regression_pb2.RegressionResult
) -> None:
    array = values[_VALUES]
    if array.ndim != 1 and (array.ndim != 2 or array.shape[1] != 1):
        raise _invalid(
            "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got "
            + _shape_text(array)
        )
    if len(array) != count:
        raise _invalid(
            f"Input batch size did not match output batch size: {count} vs. {len(array)}"
        )
    if array.dtype != np.float32:
        raise _invalid(f"Expected output Tensor of DT_FLOAT.  Got: {_type_name(array)}")
    result.regressions.extend(
        regression_pb2.Regression(value=value) for value in array.ravel().tolist()
    )


def _type_name(array: np.ndarray) -> str:
    return types_pb2.DataType.Name(tf.as_dtype(array.dtype).as_datatype_enum)


def _shape_text(array: np.ndarray) -> str:
    return f"[{','.join(map(str, array.shape))}]"


def _invalid(message: str) -> ServingError:
    return ServingError("INVALID_ARGUMENT", message)


def _unfit(message: str) -> ServingError:
    return ServingError("FAILED_PRECONDITION", message)


_CLASSIFY = _Method(
    "Classify", _classification_outputs, _fill_classifications, "classification_result"
)
_REGRESS = _Method("Regress", _regression_outputs, _fill_regressions, "regression_result")
_METHODS = {
    tf.saved_model.CLASSIFY_METHOD_NAME: _CLASSIFY,
    tf.saved_model.REGRESS_METHOD_NAME: _REGRESS,
}
