import json
import re
import shlex
import shutil
import socket
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

from tfrec.cli.gateway import gateway
from tfrec.cli.overrides import parse
from tfrec.cli.serve import serve
from tfrec.config import override
from tfrec.deploy.pipeline_config import PipelineConfig
from tfrec.serving import ModelServer
from tfrec.training.config import TrainingConfig
from tfrec.training.existing_cluster import ExistingCluster

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
SERVERS = ("serving", "server")
IMAGES = (*SERVERS, "gateway", "trainer", "pipeline")
SHARED_STAGES = {"packages", "runtime", "server-code", "trainer-code", "pipeline-code"}


def all_instructions() -> list[tuple[str, str]]:
    """Each instruction of the recipe and its arguments."""
    text = (DOCKER / "Dockerfile").read_text().replace("\\\n", "")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [tuple(line.split(maxsplit=1)) for line in lines]


def stages() -> dict[str, list[tuple[str, str]]]:
    """Name of a stage -> its instructions, with those of the stages that it goes on from."""
    (argument,) = [text for name, text in all_instructions() if text.startswith("PYTHON=")]
    found: dict[str, list[tuple[str, str]]] = {}
    for name, text in all_instructions():
        if name == "FROM":
            base, _, stage = text.partition(" AS ")
            base = base.replace("${PYTHON}", argument.removeprefix("PYTHON="))
            found[stage] = [*found.get(base, [("FROM", base)])]
        elif found:
            found[stage].append((name, text))
    return found


def last(image: str, name: str) -> str:
    """The arguments of the instruction that is in force."""
    return [text for instruction, text in stages()[image] if instruction == name][-1]


@pytest.fixture(scope="module")
def compose() -> dict:
    return yaml.safe_load((DOCKER / "compose.yaml").read_text())


def test_the_recipe_has_a_target_for_each_image():
    assert set(stages()) == {*IMAGES, *SHARED_STAGES}


def test_the_example_projects_image_holds_the_code_that_its_config_names():
    project = ROOT / "examples" / "pipeline"
    config = yaml.safe_load((project / "films.yaml").read_text())
    named = [config["model"]["template"], config["data"]["preprocessing"]]
    lines = [line.split() for line in (project / "Dockerfile").read_text().splitlines()]

    (folder,) = [words[1] for words in lines if words[0] == "WORKDIR"]
    ((*copied, into),) = [words[1:] for words in lines if words[0] == "COPY"]

    assert {name.partition(":")[0] for name in named} == set(copied)
    assert all((project / file).is_file() for file in copied)
    assert (folder[0], into) == ("/", "./")


@pytest.mark.parametrize("image", IMAGES)
def test_image_is_pinned_and_unprivileged(image):
    assert re.search(r":\d+\.\d+", last(image, "FROM"))
    assert last(image, "USER") == "10001:10001"


@pytest.mark.parametrize("image", ["server-code", "trainer-code", "pipeline-code"])
def test_packages_are_those_of_the_lock_file(image):
    installs = [text for name, text in stages()[image] if name == "RUN" and "pip install" in text]

    *locked, code = installs
    assert locked
    assert all("--constraint constraints.txt" in install for install in locked)
    assert "--no-deps" in code


@pytest.mark.parametrize(
    ("image", "extras"), [("trainer-code", '""'), ("pipeline-code", '"kubeflow"')]
)
def test_extra_packages_are_chosen_when_an_image_is_built(image, extras):
    assert last(image, "ARG") == f"EXTRAS={extras}"
    assert any("$EXTRAS" in text for name, text in stages()[image] if name == "RUN")


@pytest.mark.parametrize("image", ["serving", "server", "gateway", "trainer"])
def test_what_listens_tells_its_health(image):
    assert last(image, "HEALTHCHECK").endswith('CMD ["healthcheck"]')
    copied = [text for name, text in stages()[image] if name == "COPY"]
    assert any(text.endswith("/usr/local/bin/healthcheck") for text in copied)


def test_what_images_copy_is_in_their_context():
    patterns = [
        line for line in (ROOT / ".dockerignore").read_text().split("\n") if line[:1] == "!"
    ]
    copied = [text for name, text in all_instructions() if name == "COPY" and "--from" not in text]
    for text in copied:
        *sources, _ = [part for part in shlex.split(text) if not part.startswith("--")]
        for source in sources:
            assert (ROOT / source).exists()
            assert any(fnmatch(source, f"{p[1:]}") or source.startswith(f"{p[1:]}/")
                       for p in patterns), source  # fmt: skip


def test_flags_are_those_of_the_server(compose):
    commands = [yaml.safe_load(last(image, "CMD")) for image in SERVERS]
    commands += [compose["services"][name]["command"] for name in ("tfrec", "tensorflow_serving")]
    for command in commands:
        flags = [re.sub(r"\$\{\w+:-(.*)\}", r"\1", flag) for flag in command]
        parsed = serve.make_context("serve", flags).params
        assert parsed["model_config_file"] == Path("/config/models.config")
        assert parsed["monitoring_config_file"] == Path("/config/monitoring.config")
        assert parsed["enable_grpc_healthcheck_service"]
        assert parsed["grpc_max_threads"] == 64


def test_services_are_built_by_the_recipe(compose):
    built = [service for service in compose["services"].values() if "build" in service]
    assert {service["build"]["target"] for service in built} == set(IMAGES)
    for service in built:
        build = service["build"]
        assert (DOCKER / ".." / build["dockerfile"]).is_file()
        assert (DOCKER / build["context"]).resolve() == ROOT
        assert service["image"] == f"tfrec-{build['target']}"
        assert service["cap_drop"] == ["ALL"]


def test_the_service_asks_for_keys_and_tells_its_health(compose):
    service = compose["services"]["gateway"]
    command = yaml.safe_load(last("gateway", "ENTRYPOINT")) + service["command"]

    parsed = gateway.make_context("gateway", command[2:]).params

    assert (parsed["host"], parsed["port"]) == ("0.0.0.0", last("gateway", "EXPOSE"))
    assert parsed["config"] == "${EXPERIMENT:-EXPERIMENT.yaml}"
    assert list(parse(parsed["values"])) == ["service.http.keys"]
    assert service["ports"] == ["${HOST:-127.0.0.1}:${GATEWAY_PORT:-8080}:8080"]
    port, path = [text.partition("=")[2] for text in last("gateway", "ENV").split()]
    assert (port, path) == (last("gateway", "EXPOSE"), "/healthz")


@pytest.mark.parametrize("name", ["prometheus", "alertmanager", "grafana"])
def test_what_monitors_is_pinned_and_reached_from_its_machine_only(compose, name):
    service = compose["services"][name]

    assert service["profiles"] == ["monitoring"]
    assert re.search(r":v?\d+\.\d+\.\d+$", service["image"])
    assert service["cap_drop"] == ["ALL"]
    listening = service.get("environment") or dict(
        flag.removeprefix("--").split("=", 1) for flag in service["command"]
    )
    assert "127.0.0.1" in (listening.get("web.listen-address") or listening["GF_SERVER_HTTP_ADDR"])
    for source, target, *mode in (volume.split(":") for volume in service["volumes"]):
        assert source in compose["volumes"] or ((DOCKER / source).is_dir() and mode == ["ro"])
        file = listening.get("config.file", "")
        if file.startswith(f"{target}/"):
            assert (DOCKER / source / file.removeprefix(f"{target}/")).is_file()


def test_grafana_finds_its_dashboards_where_they_are_mounted(compose):
    targets = dict(volume.split(":")[:2] for volume in compose["services"]["grafana"]["volumes"])
    (source,) = [source for source, target in targets.items() if target.endswith("/provisioning")]
    (file,) = (DOCKER / source / "dashboards").iterdir()
    (provider,) = yaml.safe_load(file.read_text())["providers"]

    (mounted,) = [
        source for source, target in targets.items() if target == provider["options"]["path"]
    ]
    assert [file.name for file in (DOCKER / mounted).iterdir()] == ["tfrec.json"]


@pytest.mark.parametrize("name", ["tfrec", "tensorflow_serving"])
def test_each_server_is_a_profile_that_cannot_change_what_it_serves(compose, name):
    service = compose["services"][name]
    assert service["profiles"] == [name]
    assert service["read_only"]
    volumes = {volume["target"]: volume for volume in service["volumes"]}
    assert volumes["/models"]["read_only"] == "${MODELS_READ_ONLY:-true}"
    assert volumes["/config"]["read_only"] is True
    assert [port.rpartition(":")[2] for port in service["ports"]] == ["8500", "8501"]


def test_a_laptops_cluster_is_one_that_its_tasks_take(compose):
    tasks = {name: compose["services"][name] for name in ("chief", "worker", "ps")}

    for name, service in tasks.items():
        assert service["profiles"] == ["train"]
        program, stage, _, *values = service["command"]
        assert (program, stage) == ("tfrec", "train")
        content = override({}, parse(values))
        assert PipelineConfig(**content["pipeline"]).training_on == "tf_config"
        task = ExistingCluster(service["environment"]["TF_CONFIG"])
        task.check(TrainingConfig(**content["training"]))
        assert task.name == f"{name}-0"
        assert task.leads == (name == "chief")


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


def test_health_of_a_task_is_that_of_its_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        listening = task_health(port)
    with socket.socket() as silent:  # holds its port, and does not listen there
        silent.bind(("127.0.0.1", 0))
        closed = task_health(silent.getsockname()[1])

    assert (listening, closed, task_health(None)) == (0, 1, 0)


def task_health(port: int | None) -> int:
    task = {"type": "ps", "index": 0}
    tf_config = {"cluster": {"ps": [f"127.0.0.1:{port}"]}, "task": task} if port else {}
    return subprocess.run(
        [sys.executable, DOCKER / "task_healthcheck.py"],
        env={"TF_CONFIG": json.dumps(tf_config)},
        capture_output=True,
        check=False,
    ).returncode
