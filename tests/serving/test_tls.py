import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import httpx
import numpy as np
import pytest
from google.protobuf import text_format
from tensorflow_serving.apis import prediction_service_pb2_grpc

from tfrec.errors import UserError
from tfrec.serving import ModelServer
from tfrec.serving.config_protos import SSLConfig
from tfrec.serving.tls import SslConfig, read_ssl_config


class Identity:
    """A key and a certificate of its own for this machine's loopback address."""

    def __init__(self, folder: Path, name: str) -> None:
        self.key_file = folder / f"{name}.key"
        self.certificate_file = folder / f"{name}.crt"
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt"),
                *("ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", f"/CN={name}"),
                *("-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"),
                *("-keyout", str(self.key_file), "-out", str(self.certificate_file)),
            ],
            check=True,
            capture_output=True,
        )
        self.key = self.key_file.read_text()
        self.certificate = self.certificate_file.read_text()


@pytest.fixture(scope="module")
def ours(tmp_path_factory) -> Identity:
    return Identity(tmp_path_factory.mktemp("ours"), "server")


@pytest.fixture(scope="module")
def theirs(tmp_path_factory) -> Identity:
    return Identity(tmp_path_factory.mktemp("theirs"), "client")


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def write_config(**fields) -> Path:
        file = tmp_path / "ssl.config"
        file.write_text(text_format.MessageToString(SSLConfig(**fields)))
        return file

    return write_config


@pytest.fixture
def serve(saved_models, tmp_path) -> Iterator[Callable[[SslConfig], ModelServer]]:
    servers = []

    def start(config: SslConfig) -> ModelServer:
        base_path = tmp_path / "tiny"
        base_path.mkdir()
        (base_path / "1").symlink_to(saved_models[2.0])
        servers.append(ModelServer({"tiny": base_path}, port=0, rest_api_port=0, ssl=config))
        servers[-1].start()
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


def grpc_answer(server: ModelServer, request, credentials: grpc.ChannelCredentials) -> list[float]:
    with grpc.secure_channel(f"127.0.0.1:{server.port}", credentials) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        return list(stub.Predict(request, timeout=60).outputs["y"].float_val)


def rest_answer(server: ModelServer, context: ssl.SSLContext) -> dict:
    url = f"https://127.0.0.1:{server.rest_api_port}/v1/models/tiny:predict"
    return httpx.post(url, content=b'{"instances": [1]}', verify=context).json()


def test_both_protocols_are_encrypted(serve, ours, predict_request):
    server = serve(SslConfig(ours.key, ours.certificate))
    request = predict_request(x=np.float32([1]))
    trusting = ssl.create_default_context(cadata=ours.certificate)

    credentials = grpc.ssl_channel_credentials(ours.certificate.encode())

    assert grpc_answer(server, request, credentials) == [2.5]
    assert rest_answer(server, trusting) == {"predictions": [2.5]}


def test_clients_that_do_not_trust_the_server_get_nothing(serve, ours, theirs, predict_request):
    server = serve(SslConfig(ours.key, ours.certificate))

    with pytest.raises(grpc.RpcError) as caught:
        grpc_answer(
            server,
            predict_request(x=np.float32([1])),
            grpc.ssl_channel_credentials(theirs.certificate.encode()),
        )
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        rest_answer(server, ssl.create_default_context(cadata=theirs.certificate))


def test_clients_must_show_a_certificate_where_that_is_asked(serve, ours, theirs, predict_request):
    server = serve(SslConfig(ours.key, ours.certificate, theirs.certificate, client_verify=True))
    request = predict_request(x=np.float32([1]))
    root = ours.certificate.encode()
    known = ssl.create_default_context(cadata=ours.certificate)
    known.load_cert_chain(theirs.certificate_file, theirs.key_file)
    credentials = grpc.ssl_channel_credentials(
        root, theirs.key.encode(), theirs.certificate.encode()
    )

    assert grpc_answer(server, request, credentials) == [2.5]
    assert rest_answer(server, known) == {"predictions": [2.5]}
    with pytest.raises(grpc.RpcError):
        grpc_answer(server, request, grpc.ssl_channel_credentials(root))
    with pytest.raises(httpx.TransportError):
        rest_answer(server, ssl.create_default_context(cadata=ours.certificate))


def test_config_is_read(write, ours, theirs):
    file = write(
        server_key=ours.key,
        server_cert=ours.certificate,
        custom_ca=theirs.certificate,
        client_verify=True,
    )

    assert read_ssl_config(file) == SslConfig(
        ours.key, ours.certificate, theirs.certificate, client_verify=True
    )


def test_certificate_of_another_key_is_named(write, ours, theirs):
    file = write(server_key=theirs.key, server_cert=ours.certificate)

    with pytest.raises(UserError) as caught:
        read_ssl_config(file)

    assert str(caught.value) == (
        f"ssl_config_file: {file}: server_cert: does not match server_key; give the key that the"
        " certificate was made for"
    )


def test_text_that_is_no_pem_is_named(write, ours):
    with pytest.raises(UserError, match=r"server_key, server_cert: .* as PEM"):
        read_ssl_config(write(server_key="key", server_cert=ours.certificate))
    with pytest.raises(UserError, match=r"server_key, server_cert: .* as PEM"):
        read_ssl_config(write(server_key=ours.key, server_cert=""))
    with pytest.raises(UserError, match=r"custom_ca: .*; give PEM certificates"):
        read_ssl_config(write(server_key=ours.key, server_cert=ours.certificate, custom_ca="ca"))


def test_key_with_a_password_is_refused(write, ours, tmp_path):
    locked = tmp_path / "locked.key"
    subprocess.run(
        [
            *("openssl", "pkcs8", "-topk8", "-in", str(ours.key_file), "-out", str(locked)),
            *("-passout", "pass:secret"),
        ],
        check=True,
        capture_output=True,
    )

    with pytest.raises(UserError, match="without a password"):
        read_ssl_config(write(server_key=locked.read_text(), server_cert=ours.certificate))


def test_asking_for_certificates_needs_authorities(write, ours):
    file = write(server_key=ours.key, server_cert=ours.certificate, client_verify=True)

    with pytest.raises(UserError, match="custom_ca: missing, but client_verify is on"):
        read_ssl_config(file)


def test_broken_file_is_named(tmp_path):
    file = tmp_path / "ssl.config"
    file.write_text("server_key")

    with pytest.raises(UserError, match="ssl_config_file: Invalid protobuf file"):
        read_ssl_config(file)
