from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from command import tfrec
from shop import Shop

from tfrec.cli.data import data
from tfrec.data.prepared import PreparedData
from tfrec.errors import UserError


def run(*arguments: object) -> Result:
    return CliRunner().invoke(data, [str(argument) for argument in arguments])


def test_report_of_a_prepared_directory_is_one_file(prepared: PreparedData, tmp_path: Path) -> None:
    output = tmp_path / "shop.html"

    done = run("report", prepared.path, "--output", output)

    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[-1] == f"report: {output}"
    assert "item not in the catalogue" in output.read_text()


def test_config_names_its_prepared_data(prepared: PreparedData, shop: Shop, tmp_path: Path) -> None:
    content = {**shop.config(), "runs": str(tmp_path)}
    config = tmp_path / "shop.yaml"
    config.write_text(yaml.safe_dump(content))
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "prepare").symlink_to(prepared.path)

    done = run("report", config, "--output", tmp_path / "shop.html")

    assert done.exit_code == 0, done.output
    assert (tmp_path / "shop.html").exists()


def test_data_that_are_not_there_yet_are_named_with_the_remedy(shop: Shop, tmp_path: Path) -> None:
    config = tmp_path / "shop.yaml"
    config.write_text(yaml.safe_dump({**shop.config(), "runs": str(tmp_path)}))

    done = run("report", config, "--output", tmp_path / "shop.html")

    assert isinstance(done.exception, UserError)
    assert "run `tfrec prepare CONFIG` first" in str(done.exception)
    assert not (tmp_path / "shop.html").exists()


@pytest.mark.parametrize("name", ["nowhere.yaml", "nowhere"])
def test_path_that_is_nothing_leaves_one_line_and_status_2(name: str, tmp_path: Path) -> None:
    done = tfrec("data", "report", tmp_path / name)

    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {tmp_path / name}: ")


def test_directory_of_another_stage_is_refused(prepared: PreparedData, tmp_path: Path) -> None:
    manifest = (prepared.path / "manifest.json").read_text()
    other = manifest.replace('"stage": "prepare"', '"stage": "train"')
    (tmp_path / "manifest.json").write_text(other)

    done = run("report", tmp_path)

    assert isinstance(done.exception, UserError)
    assert str(done.exception).startswith(
        f"{tmp_path}: made by the stage 'train'; give a directory"
    )
