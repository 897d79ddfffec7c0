import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tfrec.serving.manager import load_servable
from tfrec.serving.predict import predict
from tfrec.serving.servable import Servable
from tfrec.serving.status import ServingError
from tfrec.serving.warmup import MAX_WARMUP_RECORDS, warm_up


def load_failure(path: Path) -> ServingError:
    with pytest.raises(ServingError) as caught:
        load_servable(path)
    return caught.value


@pytest.fixture
def version(push: Callable[..., Path], tmp_path: Path) -> Path:
    return push(tmp_path / "model", "1")


def test_loaded_model_runs_its_signatures(saved_models):
    servable = Servable.load(saved_models[2.0])
    signature = servable.signatures["serving_default"]

    outputs = servable.run(signature, {"x": np.array([1, 2], np.float32)}, ["y"])

    assert outputs["y"].tolist() == [2.5, 3.0]
    servable.close()


def test_run_is_stopped_at_its_timeout(saved_models):
    servable = Servable.load(saved_models[2.0])
    signature = servable.signatures["slow"]

    with pytest.raises(ServingError) as caught:
        servable.run(signature, {"steps": np.array(10**12)}, ["done"], timeout_seconds=0.05)

    assert caught.value.code == "DEADLINE_EXCEEDED"
    servable.close()


def test_missing_graph_file_is_named(version):
    (version / "saved_model.pb").unlink()

    error = load_failure(version)

    assert error.code == "NOT_FOUND"
    assert error.message.startswith(f"{version}/saved_model.pb is missing")
    assert "rename" in error.message


def test_graph_file_cut_short_is_named(version):
    graph = version / "saved_model.pb"
    graph.write_bytes(graph.read_bytes()[:1000])

    error = load_failure(version)

    assert error.code == "DATA_LOSS"
    assert "saved_model.pb: cut short" in error.message


def test_missing_variables_are_named(version):
    (version / "variables" / "variables.index").unlink()

    error = load_failure(version)

    assert error.code == "NOT_FOUND"
    assert "variables/variables.index is missing" in error.message


def test_missing_variable_values_are_named(version):
    (version / "variables" / "variables.data-00000-of-00001").unlink()

    assert "variables.data-00000-of-00001" in load_failure(version).message


def test_variables_cut_short_fail_the_load(version):
    values = version / "variables" / "variables.data-00000-of-00001"
    values.write_bytes(values.read_bytes()[:4])

    error = load_failure(version)

    assert error.code in ("DATA_LOSS", "OUT_OF_RANGE")
    assert str(version) in error.message


def test_model_without_the_serve_tag_fails_the_load(version):
    edit_graph(version, lambda meta_graph: meta_graph.meta_info_def.ClearField("tags"))

    assert "serve" in load_failure(version).message


def test_unknown_op_fails_the_load(version):
    edit_graph(version, add_function_node("NoSuchOp"))

    assert "NoSuchOp" in load_failure(version).message


def test_scann_model_says_what_to_install(version, monkeypatch):
    edit_graph(version, add_function_node("Scann>ScannSearch"))
    monkeypatch.setitem(sys.modules, "scann", None)

    error = load_failure(version)

    assert error.code == "FAILED_PRECONDITION"
    assert "pip install scann" in error.message


def edit_graph(version: Path, edit: Callable) -> None:
    file = version / "saved_model.pb"
    saved_model = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    edit(saved_model.meta_graphs[0])
    file.write_bytes(saved_model.SerializeToString())


def add_function_node(op: str) -> Callable:
    def edit(meta_graph) -> None:
        # Which function stands first, and whether the graph calls it, is not certain.
        for function in meta_graph.graph_def.library.function:
            function.node_def.add(name="added", op=op)

    return edit


def test_warm_up_requests_run_at_load(push, predict_request, tmp_path):
    requests = [predict_request(x=[1.0]), predict_request(signature="slow", steps=np.int64(3))]
    version = push(tmp_path / "model", "1", warmup=requests)

    servable = Servable.load(version)

    assert warm_up(servable) == 2
    servable.close()


def test_failing_warm_up_request_fails_the_load(push, predict_request, tmp_path):
    requests = [predict_request(x=[1.0]), predict_request(z=[1.0])]
    version = push(tmp_path / "model", "1", warmup=requests)

    error = load_failure(version)

    assert error.code == "INVALID_ARGUMENT"
    assert "tf_serving_warmup_requests: record 1 failed: Signature input alias: x" in error.message


@pytest.mark.parametrize(("count", "loads"), [(1000, True), (1001, False)])
def test_warm_up_has_a_limit(push, predict_request, tmp_path, count, loads):
    version = push(tmp_path / "model", "1", warmup=[predict_request(x=[1.0])] * count)

    if loads:
        load_servable(version).close()
    else:
        message = f"Number of warmup records exceeds the maximum ({MAX_WARMUP_RECORDS})"
        assert message in load_failure(version).message


def test_warm_up_file_must_hold_records(push, tmp_path):
    version = push(tmp_path / "model", "1")
    warmup = version / "assets.extra" / "tf_serving_warmup_requests"
    warmup.parent.mkdir()
    warmup.write_bytes(b"no records at all")

    error = load_failure(version)

    assert error.code == "DATA_LOSS"
    assert "TFRecord" in error.message


def test_default_value_stands_in_for_a_missing_input(saved_models, predict_request):
    servable = Servable.load(saved_models[2.0])
    signature = servable.signatures["serving_default"]
    signature.defaults["x"] = tf.make_tensor_proto([4.0])

    outputs = predict(servable, predict_request())

    assert outputs["y"].tolist() == [4.0]
    servable.close()
