from collections.abc import Iterator
from pathlib import Path

import pytest
import tensorflow as tf
from example_model import CLASSIFY, REGRESS
from tensorflow_serving.apis import (
    classification_pb2,
    inference_pb2,
    input_pb2,
    regression_pb2,
)

from tfrec.serving.inference import classify, multi_inference, regress
from tfrec.serving.servable import Servable
from tfrec.serving.status import ServingError


@pytest.fixture(scope="module")
def servable(example_model: Path) -> Iterator[Servable]:
    servable = Servable.load(example_model)
    yield servable
    servable.close()


def example(x: float | None = None, name: str | None = None) -> tf.train.Example:
    result = tf.train.Example()
    if x is not None:
        result.features.feature["x"].float_list.value.append(x)
    if name is not None:
        result.features.feature["name"].bytes_list.value.append(name.encode())
    return result


def examples(*values: tf.train.Example) -> input_pb2.Input:
    return input_pb2.Input(example_list=input_pb2.ExampleList(examples=values))


def classification_request(signature: str, given: input_pb2.Input):
    request = classification_pb2.ClassificationRequest(input=given)
    request.model_spec.name = "m"
    request.model_spec.signature_name = signature
    return request


def regression_request(signature: str, given: input_pb2.Input):
    request = regression_pb2.RegressionRequest(input=given)
    request.model_spec.name = "m"
    request.model_spec.signature_name = signature
    return request


def multi_request(given: input_pb2.Input, *tasks: tuple[str, str], model: str = "m"):
    request = inference_pb2.MultiInferenceRequest(input=given)
    for signature, method in tasks:
        task = request.tasks.add(method_name=method)
        task.model_spec.name = model
        task.model_spec.signature_name = signature
    return request


def refusal(call, servable: Servable, request) -> tuple[str, str]:
    with pytest.raises(ServingError) as caught:
        call(servable, request)
    return caught.value.code, caught.value.message


def listed(result: classification_pb2.ClassificationResult) -> list[list[tuple[str, float]]]:
    return [[(entry.label, entry.score) for entry in row.classes] for row in result.classifications]


TWO = examples(example(2.0, "a"), example(4.0))


def test_classify_gives_labels_and_scores(servable):
    response = classify(servable, classification_request("classify", TWO))

    assert response.model_spec.signature_name == "classify"
    assert listed(response.result) == [
        [("a", 3.0), ("not a", -3.0)],
        [("nobody", 4.0), ("not nobody", -4.0)],
    ]


def test_classify_does_without_labels_or_without_scores(servable):
    scores = classify(servable, classification_request("scores", TWO))
    classes = classify(servable, classification_request("classes", TWO))

    assert listed(scores.result)[0] == [("", 3.0), ("", -3.0)]
    assert listed(classes.result)[0] == [("a", 0.0), ("not a", 0.0)]


@pytest.mark.parametrize("signature", ["", "column"])
def test_regress_gives_a_value_an_example(servable, signature):
    response = regress(servable, regression_request(signature, TWO))

    assert response.model_spec.signature_name == (signature or "serving_default")
    assert [regression.value for regression in response.result.regressions] == [3.0, 4.0]


def test_context_belongs_to_every_example(servable):
    given = input_pb2.Input()
    given.example_list_with_context.context.CopyFrom(example(2.0, "all"))
    given.example_list_with_context.examples.extend([example(), example(name="own"), example(6.0)])

    response = classify(servable, classification_request("classify", given))

    assert [row[0] for row in listed(response.result)] == [("all", 3.0), ("own", 3.0), ("all", 5.0)]


@pytest.mark.parametrize(
    "given",
    [
        input_pb2.Input(),
        examples(),
        input_pb2.Input(
            example_list_with_context=input_pb2.ExampleListWithContext(context=example(1.0))
        ),
    ],
)
def test_no_example_is_refused(servable, given):
    expected = ("INVALID_ARGUMENT", "Input is empty.")

    assert refusal(classify, servable, classification_request("classify", given)) == expected
    assert refusal(regress, servable, regression_request("", given)) == expected
    assert refusal(multi_inference, servable, multi_request(given, ("", REGRESS))) == expected


def test_unknown_signature_is_refused(servable):
    expected = ("INVALID_ARGUMENT", "No signature was found with the name: none")

    assert refusal(classify, servable, classification_request("none", TWO)) == expected
    assert refusal(regress, servable, regression_request("none", TWO)) == expected


@pytest.mark.parametrize(
    ("signature", "code", "message"),
    [
        ("two_inputs", "INVALID_ARGUMENT", "Expected one input Tensor."),
        (
            "three_outputs",
            "INVALID_ARGUMENT",
            "Expected one or two output Tensors, found 3",
        ),
        (
            "misnamed_input",
            "FAILED_PRECONDITION",
            "No classification inputs found in SignatureDef: inputs {",
        ),
        (
            "misnamed_output",
            "FAILED_PRECONDITION",
            "Expected classification signature outputs to contain at least one of"
            ' "classes" or "scores". Signature was: inputs {',
        ),
        (
            "flat_scores",
            "INVALID_ARGUMENT",
            "Expected Tensor shape: [batch_size num_classes] but got [2]",
        ),
        (
            "whole_scores",
            "INVALID_ARGUMENT",
            "Expected scores Tensor of DT_FLOAT. Got: DT_INT64",
        ),
        ("short_scores", "INVALID_ARGUMENT", "Expected scores output batch size of 2. Got: 1"),
        (
            "uneven",
            "INVALID_ARGUMENT",
            "Tensors class and score should match in dim_size(1). Got 2 vs. 1",
        ),
    ],
)
def test_signature_that_cannot_classify_is_refused(servable, signature, code, message):
    actual = refusal(classify, servable, classification_request(signature, TWO))

    assert actual[0] == code
    assert actual[1].startswith(message)


@pytest.mark.parametrize(
    ("signature", "code", "message"),
    [
        ("two_inputs", "INVALID_ARGUMENT", "Expected one input Tensor."),
        ("three_outputs", "INVALID_ARGUMENT", "Expected one output Tensor."),
        (
            "misnamed_input",
            "FAILED_PRECONDITION",
            "No regression inputs found in SignatureDef: inputs {",
        ),
        (
            "misnamed_output",
            "FAILED_PRECONDITION",
            "No regression outputs found in SignatureDef: inputs {",
        ),
        (
            "wide",
            "INVALID_ARGUMENT",
            "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got"
            " [2,2]",
        ),
        ("short", "INVALID_ARGUMENT", "Input batch size did not match output batch size: 2 vs. 1"),
        ("whole", "INVALID_ARGUMENT", "Expected output Tensor of DT_FLOAT.  Got: DT_INT64"),
    ],
)
def test_signature_that_cannot_regress_is_refused(servable, signature, code, message):
    actual = refusal(regress, servable, regression_request(signature, TWO))

    assert actual[0] == code
    assert actual[1].startswith(message)


def test_example_without_a_needed_feature_is_refused_by_the_graph(servable):
    request = regression_request("", examples(example(name="a")))

    code, message = refusal(regress, servable, request)

    assert code == "INVALID_ARGUMENT"
    assert "Feature: x (data type: float) is required but could not be found." in message


def test_multi_inference_answers_every_task_in_order(servable):
    request = multi_request(TWO, ("", REGRESS), ("classify", CLASSIFY), ("scores", CLASSIFY))

    first, second, third = multi_inference(servable, request).results

    assert [value.value for value in first.regression_result.regressions] == [3.0, 4.0]
    assert listed(second.classification_result)[1] == [("nobody", 4.0), ("not nobody", -4.0)]
    assert listed(third.classification_result)[1] == [("", 4.0), ("", -4.0)]
    specs = [result.model_spec for result in (first, second, third)]
    assert [spec.signature_name for spec in specs] == ["serving_default", "classify", "scores"]
    assert {spec.name for spec in specs} == {"m"}


@pytest.mark.parametrize(
    ("tasks", "code", "message"),
    [
        (
            [("", REGRESS), ("serving_default", REGRESS)],
            "INVALID_ARGUMENT",
            "Duplicate evaluation of signature: serving_default",
        ),
        (
            [("none", REGRESS)],
            "INVALID_ARGUMENT",
            "Requested signature not found in model graph: none",
        ),
        (
            [("", "tensorflow/serving/predict")],
            "UNIMPLEMENTED",
            "Unsupported signature method_name: tensorflow/serving/predict",
        ),
        (
            [("", REGRESS), ("other_input", REGRESS)],
            "INVALID_ARGUMENT",
            "Input tensor must be the same for all Signatures.",
        ),
        ([("two_inputs", REGRESS)], "INVALID_ARGUMENT", "Expected one input Tensor."),
        (
            [("", REGRESS), ("short", REGRESS)],
            "INVALID_ARGUMENT",
            "Input batch size did not match output batch size: 2 vs. 1",
        ),
    ],
)
def test_wrong_task_is_refused(servable, tasks, code, message):
    assert refusal(multi_inference, servable, multi_request(TWO, *tasks)) == (code, message)


def test_tasks_of_one_request_share_a_model(servable):
    request = multi_request(TWO, ("", REGRESS), ("classify", CLASSIFY))
    request.tasks[1].model_spec.name = "other"
    assert refusal(multi_inference, servable, request) == (
        "INVALID_ARGUMENT",
        "All ModelSpecs in a MultiInferenceRequest must access the same model name.",
    )

    request.tasks[1].model_spec.name = ""
    assert refusal(multi_inference, servable, request) == (
        "INVALID_ARGUMENT",
        "Found ModelSpec with an empty model name.",
    )
