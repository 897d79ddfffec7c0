import re
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import httpx
import numpy as np
import pytest
import tensorflow as tf
from prometheus_client.parser import text_string_to_metric_families
from tensorflow_serving.apis import prediction_service_pb2_grpc, regression_pb2

from tfrec.errors import UserError
from tfrec.serving import ModelServer, monitoring
from tfrec.serving.monitoring import (
    count_request,
    observe_load,
    observe_request,
    read_monitoring_config,
    render_metrics,
)

PATH = "/metrics/here"
PREFIX = ":tensorflow:serving:"


def samples() -> dict[str, float]:
    lines = render_metrics().decode().splitlines()
    return {
        name: float(value)
        for name, _, value in (line.rpartition(" ") for line in lines if not line.startswith("#"))
    }


@pytest.fixture
def growth() -> Callable[[], dict[str, float]]:
    """What has been counted since the test began: the process counts for all tests together."""
    before = samples()

    def measure() -> dict[str, float]:
        after = samples()
        grown = {name: value - before.get(name, 0) for name, value in after.items()}
        # A request that another test gave up may end only now.
        return {name: value for name, value in grown.items() if value and '"tiny"' not in name}

    return measure


@pytest.fixture(scope="module")
def monitored(saved_models, example_model, tmp_path_factory) -> Iterator[ModelServer]:
    base_path = tmp_path_factory.mktemp("seen")
    (base_path / "1").symlink_to(saved_models[2.0])
    models = {"seen": base_path, "examples": example_model.parent}
    with ModelServer(models, port=0, rest_api_port=0, monitoring_path=PATH) as server:
        yield server


@pytest.fixture(scope="module")
def http(monitored: ModelServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://127.0.0.1:{monitored.rest_api_port}") as client:
        yield client


@pytest.fixture(scope="module")
def stub(monitored: ModelServer) -> Iterator[prediction_service_pb2_grpc.PredictionServiceStub]:
    with grpc.insecure_channel(f"127.0.0.1:{monitored.port}") as channel:
        yield prediction_service_pb2_grpc.PredictionServiceStub(channel)


def write(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "monitoring.config"
    file.write_text(text)
    return file


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('prometheus_config { enable: true path: "/m" }', "/m"),
        ("prometheus_config { enable: true }", "/monitoring/prometheus/metrics"),
        ('prometheus_config { path: "/m" }', None),
        ("", None),
    ],
)
def test_config_says_where_metrics_are(tmp_path, text, path):
    assert read_monitoring_config(write(tmp_path, text)) == path


def test_broken_config_is_refused(tmp_path):
    with pytest.raises(UserError, match="monitoring_config_file: Invalid protobuf file"):
        read_monitoring_config(write(tmp_path, "prometheus { }"))


def test_histogram_is_laid_out_as_tensorflow_serving_does():
    for microseconds in (9, 10, 17, 40, 10**12):
        observe_request("laid", "Predict", "GRPC", microseconds / 1e6)

    name = f"{PREFIX}request_latency"
    labels = 'model_name="laid",API="Predict",entrypoint="GRPC"'
    lines = [line for line in render_metrics().decode().splitlines() if '"laid"' in line]
    limits = [re.search(r'le="(.*)"', line)[1] for line in lines[:-2]]
    assert limits[:4] == ["10", "18", "32.4", "58.32"]
    assert limits[-2:] == [f"{10 * 1.8**32:g}", "+Inf"]
    assert len(limits) == 34
    # A value that equals a limit is counted above it.
    assert [line.rpartition(" ")[2] for line in lines[:5]] == ["1", "3", "3", "4", "4"]
    assert lines[0] == f'{name}_bucket{{{labels},le="10"}} 1'
    assert lines[-3] == f'{name}_bucket{{{labels},le="+Inf"}} 5'
    assert lines[-2] == f"{name}_sum{{{labels}}} 1000000000076"
    assert lines[-1] == f"{name}_count{{{labels}}} 5"
    assert f"# TYPE {name} histogram" in render_metrics().decode()


def test_label_values_are_escaped():
    count_request('a"b\\c\nd', "OK")

    assert (
        f'{PREFIX}request_count{{model_name="a\\"b\\\\c\\nd",status="OK"}} 1\n'.encode()
        in render_metrics()
    )


def test_page_is_read_by_prometheus():
    count_request("parsed", "OK")

    families = {
        family.name: family for family in text_string_to_metric_families(render_metrics().decode())
    }

    (sample,) = (
        sample
        for sample in families[f"{PREFIX}request_count"].samples
        if sample.labels["model_name"] == "parsed"
    )
    assert (sample.labels["status"], sample.value) == ("OK", 1)
    assert families[f"{PREFIX}runtime_latency"].type == "histogram"


def test_loads_are_counted(growth):
    observe_load(Path("/m/1"), 0.25)
    observe_load(Path("/m/2"), None)

    prefix = ":tensorflow:cc:saved_model:load"
    assert growth() == {
        f'{prefix}_attempt_count{{model_path="/m/1",status="success"}}': 1,
        f'{prefix}_attempt_count{{model_path="/m/2",status="fail"}}': 1,
        f'{prefix}_latency{{model_path="/m/1"}}': 250_000,
    }


def counts(grown: dict[str, float]) -> dict[str, float]:
    """Counters, and how often histograms were added to, without the common prefix."""
    return {
        name.removeprefix(PREFIX): value
        for name, value in grown.items()
        if "_bucket{" not in name and "_sum{" not in name
    }


def test_grpc_requests_are_counted_and_timed(stub, predict_request, growth):
    stub.Predict(predict_request(model="seen", x=np.float32([1])))
    with pytest.raises(grpc.RpcError):
        stub.Predict(predict_request(model="seen"))
    with pytest.raises(grpc.RpcError):
        stub.Predict(predict_request(model="unseen"))

    assert counts(growth()) == {
        'request_count{model_name="seen",status="OK"}': 1,
        'request_count{model_name="seen",status="INVALID_ARGUMENT"}': 1,
        'request_count{model_name="unseen",status="NOT_FOUND"}': 1,
        'request_latency_count{model_name="seen",API="Predict",entrypoint="GRPC"}': 1,
        'runtime_latency_count{model_name="seen",API="Predict",runtime="TF1"}': 1,
    }


def test_examples_are_counted(stub, growth):
    example = tf.train.Example()
    example.features.feature["x"].float_list.value.append(2.0)
    request = regression_pb2.RegressionRequest()
    request.model_spec.name = "examples"
    request.input.example_list.examples.extend([example] * 3)

    stub.Regress(request)

    grown = growth()
    assert counts(grown) == {
        'request_count{model_name="examples",status="OK"}': 1,
        'request_latency_count{model_name="examples",API="Regress",entrypoint="GRPC"}': 1,
        'runtime_latency_count{model_name="examples",API="Regress",runtime="TF1"}': 1,
        'request_example_counts_count{model="examples"}': 1,
        'request_example_count_total{model="examples"}': 3,
    }
    assert grown[f'{PREFIX}request_example_counts_sum{{model="examples"}}'] == 3


def test_rest_requests_are_counted_and_timed(http, growth):
    http.post("/v1/models/seen:predict", content=b'{"instances": [1]}')
    http.post("/v1/models/seen:predict", content=b"{")
    http.get("/v1/models/seen")
    http.get("/v1/nothing")

    assert counts(growth()) == {
        'request_count{model_name="seen",status="OK"}': 2,
        'request_count{model_name="seen",status="INVALID_ARGUMENT"}': 1,
        'request_count{model_name="",status="INVALID_ARGUMENT"}': 1,
        'request_latency_count{model_name="seen",API="predict",entrypoint="REST"}': 1,
        'request_latency_count{model_name="seen",API="",entrypoint="REST"}': 1,
        'runtime_latency_count{model_name="seen",API="Predict",runtime="TF1"}': 1,
    }


def test_page_is_at_its_path_only(http):
    response = http.get(PATH)

    assert response.status_code == 200
    assert response.headers["content-type"] == "text/plain"
    assert f"# TYPE {PREFIX}request_count counter\n" in response.text
    assert http.get("/monitoring/prometheus/metrics").status_code == 404
    assert http.get(f"{PATH}?x=1").status_code == 404


def test_names_that_clients_make_up_do_not_pile_up(monkeypatch, growth):
    count_request("known", "OK")
    monkeypatch.setattr(monitoring, "_MAX_CELLS", 0)

    count_request("made up", "NOT_FOUND")
    count_request("known", "OK")

    assert counts(growth()) == {'request_count{model_name="known",status="OK"}': 2}


def test_long_names_are_cut(growth):
    count_request("n" * 100_000, "NOT_FOUND")

    (name,) = growth()
    assert len(name) < 300
