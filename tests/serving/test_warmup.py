import shutil
from pathlib import Path

import pytest
import tensorflow as tf
from example_model import CLASSIFY, REGRESS
from tensorflow_serving.apis import prediction_log_pb2

from tfrec.serving.servable import Servable
from tfrec.serving.status import ServingError
from tfrec.serving.warmup import WARMUP_FILE, warm_up


@pytest.fixture
def version(example_model: Path, tmp_path: Path) -> Path:
    return shutil.copytree(example_model, tmp_path / "1")


def warm_up_with(version: Path, *logs: prediction_log_pb2.PredictionLog) -> int:
    file = version / WARMUP_FILE
    file.parent.mkdir()
    with tf.io.TFRecordWriter(str(file)) as writer:
        for log in logs:
            writer.write(log.SerializeToString())
    servable = Servable.load(version)
    try:
        return warm_up(servable)
    finally:
        servable.close()


def add_example(request, x: float = 1.0) -> None:
    example = request.input.example_list.examples.add()
    example.features.feature["x"].float_list.value.append(x)


def log_of_each_kind() -> list[prediction_log_pb2.PredictionLog]:
    classify, regress, multi, predict = (prediction_log_pb2.PredictionLog() for _ in range(4))
    classify.classify_log.request.model_spec.signature_name = "classify"
    add_example(classify.classify_log.request)
    add_example(regress.regress_log.request)
    for signature, method in (("", REGRESS), ("classify", CLASSIFY)):
        task = multi.multi_inference_log.request.tasks.add(method_name=method)
        task.model_spec.name = "m"
        task.model_spec.signature_name = signature
    add_example(multi.multi_inference_log.request)
    serialised = regress.regress_log.request.input.example_list.examples[0].SerializeToString()
    predict.predict_log.request.inputs["inputs"].CopyFrom(tf.make_tensor_proto([serialised]))
    return [classify, regress, multi, predict]


def test_requests_of_every_kind_are_run(version):
    assert warm_up_with(version, *log_of_each_kind()) == 4


@pytest.mark.parametrize("kind", ["classify_log", "regress_log", "multi_inference_log"])
def test_failing_request_of_any_kind_fails_the_load(version, kind):
    log = next(log for log in log_of_each_kind() if log.HasField(kind))
    getattr(log, kind).request.ClearField("input")

    with pytest.raises(ServingError) as caught:
        warm_up_with(version, log)

    assert caught.value.code == "INVALID_ARGUMENT"
    assert caught.value.message.endswith("record 0 failed: Input is empty.")


def test_empty_log_passes(version):
    assert warm_up_with(version, prediction_log_pb2.PredictionLog()) == 1


def test_log_of_a_session_run_fails_the_load(version):
    log = prediction_log_pb2.PredictionLog()
    log.session_run_log.SetInParent()

    with pytest.raises(ServingError) as caught:
        warm_up_with(version, log)

    assert caught.value.code == "UNIMPLEMENTED"
    assert caught.value.message.endswith("record 0: Unsupported log_type for warmup: 5")
