"""`tfrec gateway` before it listens, and `tfrec gateway-key`."""

import socket
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from shop import Shop

from tfrec.cli.main import cli
from tfrec.errors import UserError
from tfrec.service.http.keys import hash_key, read_keys


@pytest.fixture
def config(shop: Shop, tmp_path: Path) -> Path:
    """The config of a shop that nothing was run for."""
    path = tmp_path / "shop.yaml"
    path.write_text(yaml.safe_dump({**shop.config(), "runs": str(tmp_path / "runs")}))
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [*map(str, arguments)])


def refusal(*arguments: object) -> str:
    done = run(*arguments)
    assert isinstance(done.exception, UserError), done.output
    return str(done.exception)


def test_help_has_examples() -> None:
    for command in ("gateway", "gateway-key"):
        done = run(command, "--help")
        assert done.exit_code == 0
        assert f"tfrec {command} " in done.output


def test_other_addresses_need_keys(config: Path) -> None:
    message = refusal("gateway", config, "--host", "0.0.0.0", "--port", 0)

    assert message.startswith("service.http.host: '0.0.0.0': others could read")


def test_address_of_the_config_counts_as_that_of_the_command_line(config: Path) -> None:
    message = refusal("gateway", config, "--service.http.host", "192.0.2.7")

    assert message.startswith("service.http.host: '192.0.2.7': others could read")


def test_port_in_use_is_told_before_anything_is_loaded(config: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]

        message = refusal("gateway", config, "--port", port)

    assert message.startswith(f"service.http.port: cannot listen on 127.0.0.1:{port}")


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--port", "http", "service.http.port: 'http'"),
        ("--service.http.hots", "x", "service.http.hots: unknown key"),
        ("--service.store", "redis://:hunter2@localhost", "service.store: looks like a URL with"),
    ],
)
def test_setting_that_cannot_be_right_is_named(
    config: Path, option: str, value: str, message: str
) -> None:
    told = refusal("gateway", config, option, value)

    assert message in told
    assert "hunter2" not in told


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--service.http.keys", "nowhere: no file of keys"),
        ("--service.http.keys_env", "service.http.keys_env: 'nowhere': not set"),
        ("--service.http.log_key_env", "service.http.log_key_env: 'nowhere': holds 0 bytes"),
    ],
)
def test_keys_that_are_not_there_are_told_before_anything_is_loaded(
    config: Path, option: str, message: str
) -> None:
    assert refusal("gateway", config, "--port", 0, option, "nowhere").startswith(message)


def test_experiment_that_was_not_run_is_told_so(config: Path) -> None:
    assert "prepare" in refusal("gateway", config, "--port", 0)


def test_key_is_printed_once_and_its_hash_kept(tmp_path: Path) -> None:
    file = tmp_path / "new" / "keys.yaml"

    done = run("gateway-key", "shop", "--file", file, "--scope", "read", "--scope", "users")

    assert done.exit_code == 0, done.output
    key = done.output.strip()
    (kept,) = read_keys(file).keys
    assert (kept.name, kept.scopes, kept.expires) == ("shop", ("read", "users"), None)
    assert kept.hash == hash_key(key)
    assert key not in file.read_text()


def test_further_keys_are_added_and_may_expire(tmp_path: Path) -> None:
    file = tmp_path / "keys.yaml"
    run("gateway-key", "one", "--file", file, "--scope", "read")

    run("gateway-key", "two", "--file", file, "--scope", "events", "--days", 30)

    one, two = read_keys(file).keys
    assert (one.name, two.name) == ("one", "two")
    assert two.expires is not None
    left = two.expires - datetime.now(timezone.utc)
    assert timedelta(days=29) < left <= timedelta(days=30)


def test_second_key_of_a_name_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "keys.yaml"
    run("gateway-key", "shop", "--file", file, "--scope", "read")

    message = refusal("gateway-key", "shop", "--file", file, "--scope", "read")

    assert message.startswith("'shop': ")
    assert len(read_keys(file).keys) == 1


def test_file_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "keys.yaml"
    file.write_text("name: shop\n")

    message = refusal("gateway-key", "shop", "--file", file, "--scope", "read")

    assert "name: unknown key" in message
    assert file.read_text() == "name: shop\n"


def test_scope_that_there_is_not_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    done = run("gateway-key", "shop", "--file", tmp_path / "k", "--scope", "write")

    assert done.exit_code == 2
    assert "'read', 'users', 'events', 'erase', 'metrics'" in done.output
