import http.client
import shutil
import socket
import subprocess
import sys
import threading
import time

import httpx
import numpy as np
import pytest

from tfrec.errors import UserError
from tfrec.serving import Client, ModelServer


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


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_stop_lets_running_requests_finish(base_path, push, wait_until, protocol):
    server = ModelServer(
        {"tiny": base_path}, port=0, rest_api_port=0, file_system_poll_wait_seconds=0.02
    )
    server.start()
    port = server.port if protocol == "grpc" else server.rest_api_port
    answers = []
    with Client(f"{protocol}://127.0.0.1:{port}") as client:
        client.metadata("tiny")

        def ask() -> None:
            answers.append(client.predict("tiny", {"steps": 500_000}, signature="slow"))

        asking = threading.Thread(target=ask)
        asking.start()
        push(base_path, "2")
        # A version that has been replaced stays in this state for as long as a request runs on it.
        wait_until(lambda: client.status("tiny")[-1].state == "UNLOADING")
        server.stop()
        asking.join()

    assert answers[0]["done"] == 500_000
    server.wait()


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
    seconds = []
    for _ in range(31):
        started = time.perf_counter()
        connection.request("POST", "/v1/models/tiny:predict", b'{"instances": [1]}')
        connection.getresponse().read()
        seconds.append(time.perf_counter() - started)
    connection.close()

    # A reply that waits for an acknowledgement takes 0.04 s.
    assert sorted(seconds)[15] < 0.03


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

    assert set(answers) == {2.0, 3.0}
    assert answers[-1] == 3.0


def test_rest_client_does_without_tensorflow(server):
    program = (
        "import sys; from tfrec.serving import Client;"
        f"client = Client('http://127.0.0.1:{server.rest_api_port}');"
        "print(client.predict('tiny', {'x': [1.0]})['y'], 'tensorflow' in sys.modules)"
    )

    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert result.stdout == "[2.5] False\n", result.stderr
