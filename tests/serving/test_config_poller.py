from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tfrec.serving.config_poller import ConfigPoller
from tfrec.serving.manager import ModelManager
from tfrec.serving.model_config import listed_models, read_model_config
from tfrec.serving.status import ServingError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "models.config"


@pytest.fixture
def write(file: Path, push, tmp_path: Path) -> Callable[..., None]:
    """Writes a config that lists these models, each with a version 1."""

    def write_file(*names: str) -> None:
        for name in names:
            if not (tmp_path / name).exists():
                push(tmp_path / name, "1")
        listed = "".join(
            f"config {{ name: '{name}' base_path: '{tmp_path / name}'"
            " model_platform: 'tensorflow' }\n"
            for name in names
        )
        file.with_suffix(".new").write_text(f"model_config_list {{\n{listed}}}\n")
        file.with_suffix(".new").rename(file)

    return write_file


@pytest.fixture
def manager(file: Path, write) -> Iterator[ModelManager]:
    write("one", "two")
    manager = ModelManager(
        listed_models(read_model_config(file)), file_system_poll_wait_seconds=0.02
    )
    manager.start()
    poller = ConfigPoller(manager, file, 0.01)
    yield manager
    poller.stop()
    manager.stop()


def served(manager: ModelManager) -> set[str]:
    names = set()
    for name in ("one", "two", "three"):
        try:
            with manager.lease(name):
                names.add(name)
        except ServingError:
            continue
    return names


def test_changed_file_is_followed(manager, write, wait_until):
    assert served(manager) == {"one", "two"}

    write("two", "three")

    wait_until(lambda: served(manager) == {"two", "three"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model_config_list { config { nmae: 'x' } }", "Invalid protobuf file"),
        ("model_config_list { config { name: 'x' } }", "Illegal setting neither"),
        ("", "Cannot transition to requested config"),
    ],
)
def test_refused_file_changes_nothing_and_is_logged_once(
    manager, file, write, text, message, wait_until, caplog
):
    file.write_text(text)
    wait_until(lambda: message in caplog.text)

    assert served(manager) == {"one", "two"}
    write("one")
    wait_until(lambda: served(manager) == {"one"})
    assert caplog.text.count(message) == 1


def test_missing_file_changes_nothing(manager, file, wait_until, caplog):
    file.unlink()

    wait_until(lambda: "No such file" in caplog.text)
    assert served(manager) == {"one", "two"}
