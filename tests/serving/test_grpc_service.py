import grpc
import numpy as np
import pytest
import tensorflow as tf
from example_model import CLASSIFY, REGRESS
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

from tfrec.serving import ModelServer

EXAMPLE = tf.train.Example()
EXAMPLE.features.feature["x"].float_list.value.append(2.0)


@pytest.fixture(scope="session")
def model_stub(channel: grpc.Channel) -> model_service_pb2_grpc.ModelServiceStub:
    return model_service_pb2_grpc.ModelServiceStub(channel)


def refusal(call, request, **options) -> tuple[str, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call(request, **options)
    return caught.value.code().name, caught.value.details()


def test_predict_answers_in_typed_fields(prediction_stub, predict_request):
    response = prediction_stub.Predict(predict_request(x=np.array([[1, 2]], np.float32)))

    assert response.model_spec.name == "tiny"
    assert response.model_spec.version.value == 3
    assert response.model_spec.signature_name == "serving_default"
    y = response.outputs["y"]
    assert not y.tensor_content
    assert list(y.float_val) == [2.5, 3.0]
    assert [dim.size for dim in y.tensor_shape.dim] == [1, 2]


def test_predict_takes_every_type(prediction_stub, predict_request):
    request = predict_request(
        signature="mixed",
        name=np.array([b"a", b"\xff"], object),
        count=np.array([1, 2]),
        weights=np.array([[1.0, 2.0], [3.0, 4.0]]),
    )

    outputs = prediction_stub.Predict(request).outputs

    assert tf.make_ndarray(outputs["greeting"]).tolist() == [b"hello a", b"hello \xff"]
    assert tf.make_ndarray(outputs["doubled"]).tolist() == [2, 4]
    assert tf.make_ndarray(outputs["total"]).tolist() == [3.0, 7.0]
    assert tf.make_ndarray(outputs["many"]).tolist() == [False, True]


def test_predict_answers_for_a_version(prediction_stub, predict_request):
    request = predict_request(x=np.float32([0]))
    request.model_spec.version.value = 3

    assert list(prediction_stub.Predict(request).outputs["y"].float_val) == [2.0]


def test_output_filter_selects_outputs(prediction_stub, predict_request):
    request = predict_request(signature="awkward", x=np.float32([1, 2]))
    request.output_filter.append("scalar")

    outputs = prediction_stub.Predict(request).outputs

    assert list(outputs) == ["scalar"]
    assert outputs["scalar"].HasField("tensor_shape")
    assert list(outputs["scalar"].float_val) == [3.0]


def test_unknown_model_version_and_label_are_refused(prediction_stub, predict_request):
    unknown_version = predict_request(x=np.float32([1]))
    unknown_version.model_spec.version.value = 9
    label = predict_request(x=np.float32([1]))
    label.model_spec.version_label = "stable"

    assert refusal(prediction_stub.Predict, predict_request(model="other")) == (
        "NOT_FOUND",
        "Servable not found for request: Latest(other)",
    )
    assert refusal(prediction_stub.Predict, unknown_version) == (
        "NOT_FOUND",
        "Servable not found for request: Specific(tiny, 9)",
    )
    assert refusal(prediction_stub.Predict, label) == (
        "INVALID_ARGUMENT",
        "Unrecognized servable version label: stable",
    )


def test_model_spec_must_name_a_model(prediction_stub, predict_request):
    assert refusal(prediction_stub.Predict, predict_pb2.PredictRequest()) == (
        "INVALID_ARGUMENT",
        "Missing ModelSpec",
    )
    assert refusal(prediction_stub.Predict, predict_request(model="")) == (
        "INVALID_ARGUMENT",
        "ModelSpec has no name specified.",
    )


def test_unknown_signature_is_refused(prediction_stub, predict_request):
    assert refusal(prediction_stub.Predict, predict_request(signature="rank")) == (
        "FAILED_PRECONDITION",
        'Serving signature key "rank" not found.',
    )


def test_wrong_input_names_are_refused(prediction_stub, predict_request):
    code, too_few = refusal(prediction_stub.Predict, predict_request())
    _, wrong = refusal(prediction_stub.Predict, predict_request(z=np.float32([1])))

    assert code == "INVALID_ARGUMENT"
    assert too_few == (
        "input size does not match signature: 0!=1 len({}) != len({x}). Sent extra: {}."
        " Missing but required: {x}."
    )
    assert wrong.startswith("Signature input alias: x(feed name: serving_default_x:0) not found")


def test_broken_tensor_is_refused_before_the_filter(prediction_stub, predict_request):
    request = predict_request(x=np.float32([1]))
    request.inputs["x"].tensor_content = b"abc"
    request.output_filter.append("nothing")

    assert refusal(prediction_stub.Predict, request) == (
        "INVALID_ARGUMENT",
        "tensor parsing error: x",
    )


def test_wrong_output_filter_is_refused(prediction_stub, predict_request):
    unknown = predict_request(x=np.float32([1]))
    unknown.output_filter.append("z")
    twice = predict_request(x=np.float32([1]))
    twice.output_filter.extend(["y", "y"])

    assert refusal(prediction_stub.Predict, unknown) == (
        "INVALID_ARGUMENT",
        "output tensor alias not found in signature: z Outputs expected to be in the set {y}.",
    )
    assert refusal(prediction_stub.Predict, twice) == (
        "INVALID_ARGUMENT",
        "duplicate output tensor alias: y",
    )


def test_wrong_type_is_refused_by_the_graph(prediction_stub, predict_request):
    assert refusal(prediction_stub.Predict, predict_request(x=np.array([1]))) == (
        "INVALID_ARGUMENT",
        "Expects arg[0] to be float but int64 is provided",
    )


def test_failure_in_the_graph_keeps_its_code(prediction_stub, predict_request):
    request = predict_request(
        signature="mixed",
        name=np.array([[b"a"]], object),
        count=np.array([1]),
        weights=np.float64([1.0]),
    )

    code, message = refusal(prediction_stub.Predict, request)

    assert code == "INVALID_ARGUMENT"
    assert len(message.encode()) <= 1024 + len("...TRUNCATED")


def test_long_message_is_cut(prediction_stub, predict_request):
    code, message = refusal(prediction_stub.Predict, predict_request(signature="s" * 3000))

    assert code == "FAILED_PRECONDITION"
    assert message.endswith("s...TRUNCATED")
    assert len(message) == 1024 + len("...TRUNCATED")


def test_deadline_stops_the_run(prediction_stub, predict_request, wait_until):
    endless = predict_request(signature="slow", steps=np.int64(10**12))

    code, _ = refusal(prediction_stub.Predict, endless, timeout=0.1)

    assert code == "DEADLINE_EXCEEDED"
    quick = predict_request(signature="slow", steps=np.int64(5))
    assert list(prediction_stub.Predict(quick).outputs["done"].int64_val) == [5]


def test_signature_that_is_no_call_is_refused(prediction_stub, predict_request):
    code, message = refusal(
        prediction_stub.Predict, predict_request(signature="__saved_model_init_op")
    )

    assert code == "INVALID_ARGUMENT"
    assert "was not found in the Graph" in message


def test_metadata_holds_the_signatures(prediction_stub):
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "tiny"

    response = prediction_stub.GetModelMetadata(request)

    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(signatures)
    assert response.model_spec.version.value == 3
    assert signatures.signature_def["serving_default"].inputs["x"].dtype == 1
    assert "mixed" in signatures.signature_def


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ([], "GetModelMetadataRequest must specify at least one metadata_field"),
        (["assets"], "Metadata field %s is not supportedassets"),
    ],
)
def test_metadata_of_other_fields_is_refused(prediction_stub, fields, message):
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=fields)
    request.model_spec.name = "tiny"

    assert refusal(prediction_stub.GetModelMetadata, request) == ("INVALID_ARGUMENT", message)


def test_status_lists_the_versions(model_stub):
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "tiny"

    (status,) = model_stub.GetModelStatus(request).model_version_status

    assert status.version == 3
    assert status.state == get_model_status_pb2.ModelVersionStatus.AVAILABLE
    assert status.status.error_code == 0


def test_status_of_the_unknown_is_refused(model_stub):
    request = get_model_status_pb2.GetModelStatusRequest()
    assert refusal(model_stub.GetModelStatus, request) == ("INVALID_ARGUMENT", "Missing ModelSpec")

    request.model_spec.name = "tiny"
    request.model_spec.version.value = 9
    assert refusal(model_stub.GetModelStatus, request) == (
        "NOT_FOUND",
        "Could not find version 9 of model tiny",
    )


def test_classify_and_regress_answer_with_name_and_version(prediction_stub):
    classification = classification_pb2.ClassificationRequest()
    classification.model_spec.name = "examples"
    classification.model_spec.signature_name = "classify"
    classification.input.example_list.examples.append(EXAMPLE)
    regression = regression_pb2.RegressionRequest(input=classification.input)
    regression.model_spec.name = "examples"

    classified = prediction_stub.Classify(classification)
    regressed = prediction_stub.Regress(regression)

    assert [entry.score for entry in classified.result.classifications[0].classes] == [3.0, -3.0]
    assert regressed.result.regressions[0].value == 3.0
    for spec, signature in (
        (classified.model_spec, "classify"),
        (regressed.model_spec, "serving_default"),
    ):
        assert (spec.name, spec.version.value, spec.signature_name) == ("examples", 1, signature)


def test_multi_inference_answers_with_name_and_version(prediction_stub):
    request = inference_pb2.MultiInferenceRequest()
    for signature, method in (("serving_default", REGRESS), ("scores", CLASSIFY)):
        task = request.tasks.add(method_name=method)
        task.model_spec.name = "examples"
        task.model_spec.signature_name = signature
    request.input.example_list.examples.append(EXAMPLE)

    first, second = prediction_stub.MultiInference(request).results

    assert first.regression_result.regressions[0].value == 3.0
    assert second.classification_result.classifications[0].classes[1].score == -3.0
    assert {result.model_spec.version.value for result in (first, second)} == {1}
    assert [result.model_spec.signature_name for result in (first, second)] == [
        "serving_default",
        "scores",
    ]


def test_calls_on_examples_must_name_a_model(prediction_stub):
    classification = classification_pb2.ClassificationRequest()
    regression = regression_pb2.RegressionRequest()
    multi_inference = inference_pb2.MultiInferenceRequest()

    for call, request in (
        (prediction_stub.Classify, classification),
        (prediction_stub.Regress, regression),
    ):
        assert refusal(call, request) == ("INVALID_ARGUMENT", "Missing ModelSpec")
    assert refusal(prediction_stub.MultiInference, multi_inference) == (
        "INVALID_ARGUMENT",
        "ModelSpec has no name specified.",
    )


def test_large_message_passes(server: ModelServer, predict_request):
    unlimited = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(f"127.0.0.1:{server.port}", options=unlimited) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        response = stub.Predict(predict_request(x=np.zeros(2_000_000, np.float32)))

    assert len(response.outputs["y"].float_val) == 2_000_000


def test_bytes_that_are_no_message_are_refused_without_a_traceback(channel, caplog):
    predict = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")

    with pytest.raises(grpc.RpcError) as caught:
        predict(b"\xff\xff", timeout=60)

    assert caught.value.code() == grpc.StatusCode.INTERNAL
    assert caught.value.details() == "Exception deserializing request!"
    assert not caplog.records


def test_quick_model_runs_in_the_thread_that_reads(
    prediction_stub, predict_request, threads_of_runs
):
    for x in ([3.0, 4.0], [1.0, 2.0]):
        response = prediction_stub.Predict(predict_request(x=np.float32(x)))

    assert list(response.outputs["y"].float_val) == [2.5, 3.0]
    assert [name.startswith("grpc") for name in threads_of_runs] == [True, False]


def test_large_or_slow_requests_run_in_the_pool(prediction_stub, predict_request, threads_of_runs):
    quick = predict_request(x=np.float32([1]))
    requests = [
        predict_request(x=np.zeros(2000, np.float32)),
        stands_for(4000, quick),
        stands_for(5000, quick),
        predict_request(signature="slow", steps=np.int64(1)),
    ]
    for _ in range(2):
        prediction_stub.Predict(quick)

    sizes = [len(prediction_stub.Predict(request).outputs["y"].float_val) for request in requests]

    assert sizes == [2000, 4000, 5000, 0]
    assert [name.startswith("grpc") for name in threads_of_runs] == [True, False, *[True] * 4]


def test_large_number_to_answer_with_runs_in_the_pool(
    prediction_stub, predict_request, threads_of_runs
):
    sizes = []
    for k in (2, 3, 1000):
        response = prediction_stub.Predict(predict_request(signature="numbers", k=np.int64(k)))
        sizes.append(len(response.outputs["numbers"].int64_val))

    assert sizes == [2, 3, 1000]
    assert [name.startswith("grpc") for name in threads_of_runs] == [True, False, True]


def stands_for(count: int, request: predict_pb2.PredictRequest) -> predict_pb2.PredictRequest:
    """A request of as few bytes that stands for many numbers."""
    larger = predict_pb2.PredictRequest()
    larger.CopyFrom(request)
    larger.inputs["x"].tensor_shape.dim[0].size = count
    return larger
