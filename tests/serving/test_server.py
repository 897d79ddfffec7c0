import http.client
import shutil
import socket
import subprocess
import sys
import threading
import time

import grpc
import httpx
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow_serving.apis import prediction_service_pb2_grpc

from tfrec.errors import UserError
from tfrec.serving import Client, ModelServer, ServingError


@pytest.fixture
def base_path(push, tmp_path):
    push(tmp_path / "tiny", "1")
    return tmp_path / "tiny"


@pytest.mark.parametrize("flag", ["port", "rest_api_port"])
def test_port_in_use_is_named(base_path, flag):
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        ports = {"port": 0, "rest_api_port": 0, flag: taken}
        with pytest.raises(UserError) as caught:
            ModelServer({"tiny": base_path}, **ports).start()

    assert str(caught.value).startswith(f"{flag}: cannot listen on 127.0.0.1:{taken}")
    assert f"another --{flag}" in str(caught.value)


def test_ports_are_closed_again_where_one_is_in_use(base_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        server = ModelServer({"tiny": base_path}, port=0, rest_api_port=other.getsockname()[1])
        with pytest.raises(UserError, match="rest_api_port: cannot listen"):
            server.start()

    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", server.port), timeout=5)


def test_second_server_does_not_share_the_port(base_path):
    with (
        ModelServer({"tiny": base_path}, port=0, rest_api_port=0) as first,
        pytest.raises(UserError, match="port: cannot listen"),
    ):
        ModelServer({"tiny": base_path}, port=first.port, rest_api_port=0).start()


def test_broken_first_version_fails_the_start(tmp_path):
    (tmp_path / "broken" / "1").mkdir(parents=True)
    server = ModelServer({"broken": tmp_path / "broken"}, port=0, rest_api_port=0)

    with pytest.raises(UserError, match=r"model broken: .*saved_model\.pb is missing"):
        server.start()


def test_config_file_lists_the_models(push, tmp_path):
    push(tmp_path / "one", "1", plus=2.0)
    push(tmp_path / "one", "2", plus=3.0)
    file = tmp_path / "models.config"
    file.write_text(
        f"""
        model_config_list {{
          config {{
            name: "one"
            base_path: "{tmp_path / "one"}"
            model_platform: "tensorflow"
            model_version_policy {{ specific {{ versions: 1 }} }}
            version_labels {{ key: "stable" value: 1 }}
          }}
        }}
        """
    )
    with ModelServer(
        model_config_file=file,
        port=0,
        rest_api_port=0,
        allow_version_labels_for_unavailable_models=True,
    ) as server:
        url = f"http://127.0.0.1:{server.rest_api_port}/v1/models/one"
        newest = httpx.post(f"{url}:predict", content=b'{"instances": [0]}')
        labelled = httpx.post(f"{url}/labels/stable:predict", content=b'{"instances": [0]}')

    assert newest.json() == labelled.json() == {"predictions": [2.0]}


def test_changed_config_file_is_followed(push, tmp_path, wait_until):
    for name in ("one", "two"):
        push(tmp_path / name, "1")
    file = tmp_path / "models.config"

    def write(name: str) -> None:
        config = f"name: '{name}' base_path: '{tmp_path / name}' model_platform: 'tensorflow'"
        file.write_text(f"model_config_list {{ config {{ {config} }} }}")

    write("one")
    with (
        ModelServer(
            model_config_file=file,
            model_config_file_poll_wait_seconds=0.02,
            port=0,
            rest_api_port=0,
        ) as server,
        Client(f"grpc://127.0.0.1:{server.port}") as client,
    ):
        assert client.predict("one", {"x": [0.0]})["y"].item() == 2.0
        write("two")
        wait_until(lambda: "AVAILABLE" in _states(client, "two"))
        wait_until(lambda: _states(client, "one") == {"END"})


def _states(client: Client, model: str) -> set[str]:
    try:
        return {status.state for status in client.status(model)}
    except ServingError:
        return set()


def test_config_file_with_an_error_is_refused_before_anything_is_loaded(tmp_path):
    file = tmp_path / "models.config"
    file.write_text("model_config_list { config {")

    with pytest.raises(UserError, match=r"Invalid protobuf file: '.*models\.config'"):
        ModelServer(model_config_file=file)


def test_unix_socket_answers_too(base_path, tmp_path, predict_request):
    path = tmp_path / "s.sock"
    with (
        ModelServer({"tiny": base_path}, port=0, rest_api_port=0, grpc_socket_path=path),
        grpc.insecure_channel(f"unix:{path}") as channel,
    ):
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        response = stub.Predict(predict_request(x=[2.0]), timeout=60)

    assert response.outputs["y"].float_val == [3.0]


def test_unix_socket_that_cannot_be_made_is_named(base_path, tmp_path):
    with pytest.raises(UserError, match=r"grpc_socket_path: cannot listen on unix:.*absent"):
        ModelServer(
            {"tiny": base_path},
            port=0,
            rest_api_port=0,
            grpc_socket_path=tmp_path / "absent" / "s.sock",
        ).start()


def test_channel_arguments_reach_grpc(base_path, predict_request):
    with (
        ModelServer(
            {"tiny": base_path},
            port=0,
            rest_api_port=0,
            grpc_channel_arguments={"grpc.max_receive_message_length": 100},
        ) as server,
        grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel,
    ):
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            stub.Predict(predict_request(x=[1.0] * 100), timeout=60)

    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


def test_health_service_answers_where_it_is_asked_for(base_path):
    with (
        ModelServer(
            {"tiny": base_path}, port=0, rest_api_port=0, enable_grpc_healthcheck_service=True
        ) as server,
        grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel,
    ):
        stub = health_pb2_grpc.HealthStub(channel)
        statuses = [
            stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=60).status
            for name in ("", "ModelService", "PredictionService")
        ]
        with pytest.raises(grpc.RpcError) as caught:
            stub.Check(health_pb2.HealthCheckRequest(service="other"), timeout=60)

    assert statuses == [health_pb2.HealthCheckResponse.SERVING] * 3
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND


def test_health_service_is_off_otherwise(server):
    with (
        grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel,
        pytest.raises(grpc.RpcError) as caught,
    ):
        health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=60)

    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_stop_ends_a_start_that_waits(tmp_path, wait_until, caplog):
    caplog.set_level("INFO")
    server = ModelServer({"tiny": tmp_path / "absent"}, port=0, rest_api_port=0)
    starting = threading.Thread(target=server.start)
    starting.start()
    wait_until(lambda: "waiting" in caplog.text)

    server.stop()
    starting.join(timeout=60)

    assert not starting.is_alive()
    assert server.port == 0


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_stop_lets_running_requests_finish(base_path, push, wait_until, protocol, monkeypatch):
    server = ModelServer(
        {"tiny": base_path}, port=0, rest_api_port=0, file_system_poll_wait_seconds=0.02
    )
    server.start()
    port = server.port if protocol == "grpc" else server.rest_api_port
    answers, runs, may_end = [], threading.Event(), threading.Event()
    with server._manager.lease("tiny") as lease:
        run = lease.servable.run

        def held(*arguments):
            runs.set()
            assert may_end.wait(60)
            return run(*arguments)

        monkeypatch.setattr(lease.servable, "run", held)
    with Client(f"{protocol}://127.0.0.1:{port}") as client:
        client.metadata("tiny")

        def ask() -> None:
            answers.append(client.predict("tiny", {"steps": 500}, signature="slow"))

        asking = threading.Thread(target=ask)
        asking.start()
        assert runs.wait(60)
        push(base_path, "2")
        # A version that has been replaced stays in this state for as long as a request runs on it.
        wait_until(lambda: client.status("tiny")[-1].state == "UNLOADING")
        stopping = threading.Thread(target=server.stop)
        stopping.start()
        wait_until(lambda: _refuses(port))
        assert stopping.is_alive()
        assert not answers
        may_end.set()
        stopping.join()
        asking.join()

    assert answers[0]["done"] == 500
    server.wait()


def _refuses(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=60).close()
    except ConnectionRefusedError:
        return True
    return False


def test_several_models_are_served(push, tmp_path):
    paths = {"one": tmp_path / "one", "two": tmp_path / "two"}
    push(paths["one"], "1", plus=2.0)
    push(paths["two"], "1", plus=3.0)

    with (
        ModelServer(paths, port=0, rest_api_port=0) as server,
        Client(f"grpc://127.0.0.1:{server.port}") as client,
    ):
        answers = [client.predict(name, {"x": [0.0]})["y"].item() for name in paths]

    assert answers == [2.0, 3.0]


def test_rest_request_is_stopped_at_its_timeout(base_path):
    with ModelServer(
        {"tiny": base_path}, port=0, rest_api_port=0, rest_api_timeout_in_ms=50
    ) as server:
        response = httpx.post(
            f"http://127.0.0.1:{server.rest_api_port}/v1/models/tiny:predict",
            content=b'{"signature_name": "slow", "inputs": 1000000000000}',
        )

    assert response.status_code == 504
    assert "error" in response.json()


def test_rest_replies_are_not_held_back(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.rest_api_port)

    def half_take() -> float:
        seconds = []
        for _ in range(31):
            started = time.perf_counter()
            connection.request("POST", "/v1/models/tiny:predict", b'{"instances": [1]}')
            connection.getresponse().read()
            seconds.append(time.perf_counter() - started)
        return sorted(seconds)[15]

    # A reply that waits for an acknowledgement takes 0.04 s, whether the machine is busy or not.
    assert any(half_take() < 0.03 for _ in range(20))
    connection.close()


def test_versions_change_under_load(base_path, push, wait_until):
    with (
        ModelServer(
            {"tiny": base_path}, port=0, rest_api_port=0, file_system_poll_wait_seconds=0.02
        ) as server,
        Client(f"grpc://127.0.0.1:{server.port}") as over_grpc,
        Client(f"http://127.0.0.1:{server.rest_api_port}") as over_rest,
    ):
        answers, stop = [], threading.Event()

        def ask(client: Client) -> None:
            while not stop.is_set():
                answers.append(client.predict("tiny", {"x": np.zeros(1)})["y"].item())

        threads = [threading.Thread(target=ask, args=(c,)) for c in (over_grpc, over_rest) * 2]
        for thread in threads:
            thread.start()
        wait_until(lambda: len(answers) > 20)
        push(base_path, "2", plus=3.0)
        wait_until(lambda: over_grpc.status("tiny")[-1].state == "END")
        shutil.rmtree(base_path / "1")
        seen = len(answers)
        wait_until(lambda: len(answers) > seen + 20)
        stop.set()
        for thread in threads:
            thread.join()

        newest = [c.predict("tiny", {"x": [0.0]})["y"].item() for c in (over_grpc, over_rest)]

    assert set(answers) == {2.0, 3.0}
    assert newest == [3.0, 3.0]


def test_rest_client_does_without_tensorflow(server):
    program = (
        "import sys; from tfrec.serving import Client;"
        f"client = Client('http://127.0.0.1:{server.rest_api_port}');"
        "print(client.predict('tiny', {'x': [1.0]})['y'], 'tensorflow' in sys.modules)"
    )

    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert result.stdout == "[2.5] False\n", result.stderr
