import grpc
import httpx
import pytest
from google.protobuf import text_format
from tensorflow_serving.apis import model_management_pb2, model_service_pb2_grpc

from tfrec.serving import Client, ModelServer, ServingError


@pytest.fixture
def server(push, tmp_path):
    push(tmp_path / "one", "1", plus=2.0)
    push(tmp_path / "two", "1", plus=3.0)
    with ModelServer({"one": tmp_path / "one"}, port=0, rest_api_port=0) as server:
        yield server


@pytest.fixture
def reload(server, tmp_path):
    def call(text: str) -> model_management_pb2.ReloadConfigResponse:
        text = text.replace("BASE", str(tmp_path))
        request = text_format.Parse(text, model_management_pb2.ReloadConfigRequest())
        with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            stub = model_service_pb2_grpc.ModelServiceStub(channel)
            return stub.HandleReloadConfigRequest(request, timeout=60)

    return call


MODEL = "config {{ name: '{0}' base_path: 'BASE/{0}' model_platform: 'tensorflow' {1} }}"


def listed(*models: str) -> str:
    return f"config {{ model_config_list {{ {' '.join(models)} }} }}"


def test_new_model_answers_once_the_call_has(server, reload):
    response = reload(listed(MODEL.format("two", "")))

    assert response.HasField("status")
    assert response.status.error_code == 0
    with Client(f"grpc://127.0.0.1:{server.port}") as client:
        assert client.predict("two", {"x": [0.0]})["y"].item() == 3.0
        with pytest.raises(ServingError, match=r"Servable not found for request: Latest\(one\)"):
            client.predict("one", {"x": [0.0]})


def test_label_answers_over_rest(server, reload):
    reload(listed(MODEL.format("one", "version_labels { key: 'stable' value: 1 }")))

    url = f"http://127.0.0.1:{server.rest_api_port}/v1/models/one/labels"
    known = httpx.post(f"{url}/stable:predict", content=b'{"instances": [2]}')
    unknown = httpx.post(f"{url}/canary:predict", content=b'{"instances": [2]}')
    metadata = httpx.get(f"{url}/stable/metadata")

    assert known.json() == {"predictions": [3.0]}
    assert unknown.status_code == 400
    assert unknown.json() == {"error": "Unrecognized servable version label: canary"}
    assert metadata.json()["model_spec"]["version"] == "1"


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        (
            "",
            "INVALID_ARGUMENT",
            "ServerModelConfig type not supported by HandleReloadConfigRequest. Only"
            " ModelConfigList is currently supported",
        ),
        (
            "config { custom_model_config {} }",
            "INVALID_ARGUMENT",
            "ServerModelConfig type not supported by HandleReloadConfigRequest. Only"
            " ModelConfigList is currently supported",
        ),
        (
            listed(*[MODEL.format("one", "")] * 2),
            "INVALID_ARGUMENT",
            "Illegal to list model one multiple times in config list",
        ),
        (
            listed(MODEL.format("one", "version_labels { key: 'stable' value: 5 }")),
            "FAILED_PRECONDITION",
            "Request to assign label to version 5 of model one, which is not currently available"
            " for inference",
        ),
    ],
)
def test_refused_list_changes_nothing(server, reload, text, code, message):
    with pytest.raises(grpc.RpcError) as caught:
        reload(text)

    assert caught.value.code().name == code
    assert caught.value.details() == message
    with Client(f"grpc://127.0.0.1:{server.port}") as client:
        assert client.predict("one", {"x": [0.0]})["y"].item() == 2.0
