from pathlib import Path

import pytest
import tensorflow as tf
from click.testing import CliRunner, Result

from tfrec.cli.main import cli
from tfrec.errors import UserError


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Version 3 of a model `shop` with a single value among its inputs."""
    module = tf.Module()
    inputs = [tf.TensorSpec([None], tf.float32, "x"), tf.TensorSpec([], tf.float32, "k")]
    module.times = tf.function(lambda x, k: {"y": x * k}, input_signature=inputs)
    module.twice = tf.function(lambda x: {"y": x + x}, input_signature=inputs[:1])
    path = tmp_path_factory.mktemp("models") / "shop" / "3"
    signatures = {"recommend": module.times, "serving_default": module.twice}
    tf.saved_model.save(module, str(path), signatures=signatures)
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["serving-config", *map(str, arguments)])


def test_files_are_written_and_what_to_do_with_them_is_told(version: Path, tmp_path: Path) -> None:
    out = tmp_path / "deploy"

    done = run(version, "--out", out, "--versions", "2,3", "--label", "stable=3", "--batch-size", 8)

    assert done.exit_code == 0, done.output
    assert done.output.splitlines() == [
        f"shop: served from /models/shop, which is to hold {version}",
        "shop: refused while batching: recommend",
        f"tensorflow_model_server --model_config_file={out}/models.config"
        f" --monitoring_config_file={out}/monitoring.config --rest_api_port=8501"
        " --allow_version_labels_for_unavailable_models"
        f" --enable_batching --batching_parameters_file={out}/batching.config",
    ]
    assert {file.name for file in out.iterdir()} == {
        "batching.config", "models.config", "monitoring.config",
    }  # fmt: skip


def test_relative_model_root_is_this_machines(
    version: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    done = run(version, "--out", "deploy", "--model-root", "serving", "--server", "tfrec")

    assert done.output.startswith(f"shop: served from {tmp_path}/serving/shop, ")
    assert done.output.splitlines()[-1].startswith("tfrec serve --model_config_file=")


@pytest.mark.parametrize("label", ["stable", "=3", "stable=new", "stable=-1"])
def test_label_without_a_version_is_refused(version: Path, tmp_path: Path, label: str) -> None:
    done = run(version, "--out", tmp_path, "--label", label)

    assert isinstance(done.exception, UserError)
    assert f"label: '{label}' is not of the form LABEL=VERSION" in str(done.exception)


def test_directory_that_is_no_bundle_is_refused(tmp_path: Path) -> None:
    done = run(tmp_path, "--out", tmp_path / "out")

    assert isinstance(done.exception, UserError)
    assert str(done.exception).startswith(f"{tmp_path}: not there yet")
