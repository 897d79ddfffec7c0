import re
import shlex
import shutil
import socket
import subprocess
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

from tfrec.cli.serve import serve
from tfrec.serving import ModelServer

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
IMAGES = ("serving", "server")


def instructions(image: str) -> list[tuple[str, str]]:
    """Each instruction of a Dockerfile and its arguments."""
    text = (DOCKER / f"{image}.Dockerfile").read_text().replace("\\\n", "")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [tuple(line.split(maxsplit=1)) for line in lines]


def only(image: str, name: str) -> str:
    (found,) = [text for instruction, text in instructions(image) if instruction == name]
    return found


@pytest.fixture(scope="module")
def compose() -> dict:
    return yaml.safe_load((DOCKER / "compose.yaml").read_text())


@pytest.mark.parametrize("image", IMAGES)
def test_image_is_pinned_unprivileged_and_tells_its_health(image):
    bases = [text.split()[0] for name, text in instructions(image) if name == "FROM"]
    assert all(re.search(r":\d+\.\d+", base) for base in bases)
    assert int(only(image, "USER").split(":")[0]) > 0
    assert only(image, "HEALTHCHECK").endswith('CMD ["healthcheck"]')


@pytest.mark.parametrize("image", IMAGES)
def test_what_an_image_copies_is_in_its_context(image):
    patterns = [
        line for line in (ROOT / ".dockerignore").read_text().split("\n") if line[:1] == "!"
    ]
    copied = [text for name, text in instructions(image) if name == "COPY" and "--from" not in text]
    for text in copied:
        *sources, _ = [part for part in shlex.split(text) if not part.startswith("--")]
        for source in sources:
            assert (ROOT / source).exists()
            assert any(fnmatch(source, f"{p[1:]}") or source.startswith(f"{p[1:]}/")
                       for p in patterns), source  # fmt: skip


def test_flags_are_those_of_the_server(compose):
    commands = [yaml.safe_load(only(image, "CMD")) for image in IMAGES]
    commands += [service["command"] for service in compose["services"].values()]
    for command in commands:
        flags = [re.sub(r"\$\{\w+:-(.*)\}", r"\1", flag) for flag in command]
        parsed = serve.make_context("serve", flags).params
        assert parsed["model_config_file"] == Path("/config/models.config")
        assert parsed["monitoring_config_file"] == Path("/config/monitoring.config")
        assert parsed["enable_grpc_healthcheck_service"]
        assert parsed["grpc_max_threads"] == 64


def test_each_server_is_a_profile_that_cannot_change_what_it_serves(compose):
    for name, service in compose["services"].items():
        assert service["profiles"] == [name]
        assert (DOCKER / ".." / service["build"]["dockerfile"]).is_file()
        assert (DOCKER / service["build"]["context"]).resolve() == ROOT
        assert service["read_only"]
        volumes = {volume["target"]: volume for volume in service["volumes"]}
        assert volumes["/models"]["read_only"] == "${MODELS_READ_ONLY:-true}"
        assert volumes["/config"]["read_only"] is True
        assert [port.rpartition(":")[2] for port in service["ports"]] == ["8500", "8501"]


def health(port: int, path: str) -> int:
    settings = {"REST_API_PORT": str(port), "HEALTH_PATH": path}
    return subprocess.run(
        ["bash", DOCKER / "healthcheck.sh"], env=settings, capture_output=True, check=False
    ).returncode


def test_health_is_that_of_the_rest_port(version, tmp_path):
    shutil.copytree(version.parent, tmp_path / "shop")
    with socket.create_server(("127.0.0.1", 0)) as unused:
        closed = unused.getsockname()[1]

    with ModelServer({"shop": tmp_path / "shop"}, port=0, rest_api_port=0) as server:
        assert health(server.rest_api_port, "/v1/models/shop") == 0
        assert health(server.rest_api_port, "/v1/models/other") == 1
    assert health(closed, "/v1/models/shop") == 1
