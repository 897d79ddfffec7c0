import inspect
from pathlib import Path

import pytest
from click.testing import CliRunner

from tfrec.cli.serve import StartError, serve
from tfrec.serving import server as server_module

PARAMETERS = inspect.signature(server_module.ModelServer).parameters


class RecordedError(Exception):
    """Ends the command once it has said which server it would start."""


@pytest.fixture
def arguments(monkeypatch, tmp_path):
    """Arguments of the server that a command line describes."""

    def record(models, **options):
        raise RecordedError(models, options)

    monkeypatch.setattr(server_module, "ModelServer", record)
    monkeypatch.chdir(tmp_path)

    def run(*flags: str) -> tuple[dict, dict]:
        result = CliRunner().invoke(serve, flags)
        if not isinstance(result.exception, RecordedError):
            raise result.exception or AssertionError(result.output)
        return result.exception.args

    return run


def test_defaults_are_those_of_the_server(arguments):
    _, options = arguments("models/tiny")

    assert options.keys() == PARAMETERS.keys() - {"self", "models"}
    for name, given in options.items():
        assert (given or None) == (PARAMETERS[name].default or None), name


def test_model_root_is_served_under_its_name(arguments, tmp_path):
    assert arguments("models/tiny")[0] == {"tiny": tmp_path / "models" / "tiny"}
    assert arguments("models/tiny", "--model_name=m")[0] == {"m": tmp_path / "models" / "tiny"}


def test_model_base_path_is_served_as_default(arguments):
    assert arguments("--model_base_path=/m/tiny")[0] == {"default": Path("/m/tiny")}
    assert arguments("--model_base_path=/m/tiny", "--model_name=x")[0] == {"x": Path("/m/tiny")}


def test_config_file_stands_in_place_of_a_model(arguments):
    models, options = arguments(
        "--model_config_file=/m/models.config",
        "--model_config_file_poll_wait_seconds=7",
        "--model_name=x",
        "--model_base_path=/m/tiny",
    )

    assert models == {}
    assert options["model_config_file"] == Path("/m/models.config")
    assert options["model_config_file_poll_wait_seconds"] == 7


@pytest.mark.parametrize(
    ("flag", "given", "expected"),
    [
        ("port", "9000", 9000),
        ("rest_api_port", "9001", 9001),
        ("host", "0.0.0.0", "0.0.0.0"),
        ("grpc_socket_path", "s.sock", Path("s.sock")),
        ("grpc_max_threads", "64", 64),
        ("rest_api_timeout_in_ms", "5000", 5000),
        ("file_system_poll_wait_seconds", "0", 0),
        ("max_num_load_retries", "0", 0),
        ("load_retry_interval_micros", "1000", 1000),
    ],
)
def test_flag_reaches_the_server(arguments, flag, given, expected):
    assert arguments("models/tiny", f"--{flag}={given}")[1][flag] == expected


@pytest.mark.parametrize(
    "flag", ["enable_grpc_healthcheck_service", "allow_version_labels_for_unavailable_models"]
)
@pytest.mark.parametrize(("ending", "expected"), [("", True), ("=true", True), ("=false", False)])
def test_switch_takes_every_form(arguments, flag, ending, expected):
    assert arguments("models/tiny", f"--{flag}{ending}", "--port=1")[1][flag] is expected


def test_channel_arguments_are_numbers_where_they_read_as_such(arguments):
    _, options = arguments(
        "models/tiny",
        "--grpc_channel_arguments=grpc.max_connection_age_ms=2000,grpc.lb_policy_name=grpclb",
    )

    assert options["grpc_channel_arguments"] == {
        "grpc.max_connection_age_ms": 2000,
        "grpc.lb_policy_name": "grpclb",
    }


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ((), "MODEL_ROOT: missing"),
        (("m", "--grpc_channel_arguments=a"), "grpc_channel_arguments: a is not of the form"),
        (
            ("m", "--batching_parameters_file=b"),
            "server_options.batching_parameters_file is set without setting"
            r" server_options.enable_batching to true\.",
        ),
    ],
)
def test_flags_that_say_too_little_are_refused(arguments, flags, message):
    with pytest.raises(StartError, match=message) as caught:
        arguments(*flags)

    assert caught.value.exit_status == 255
