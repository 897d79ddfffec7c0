import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest
import tensorflow as tf
import yaml
from click.testing import CliRunner, Result
from shop import Shop
from toy_bundle import write_toy_bundle

from tfrec.cli.main import cli
from tfrec.data.prepared import PreparedData
from tfrec.errors import UserError


@pytest.fixture
def config(shop: Shop, prepared: PreparedData, tmp_path: Path) -> Path:
    """A config of a shop whose bundle is there."""
    shutil.copytree(prepared.path, tmp_path / "shop" / "prepare")
    inputs = {
        "shopper": tf.TensorSpec([None], tf.string, "shopper"),
        "weekday": tf.TensorSpec([None], tf.string, "weekday"),
    }
    data = PreparedData(tmp_path / "shop" / "prepare")
    write_toy_bundle(data, inputs, tmp_path / "shop" / "export")
    path = tmp_path / "shop.yaml"
    path.write_text(yaml.safe_dump({**shop.config(), "runs": str(tmp_path)}))
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["recommend", *map(str, arguments)])


def test_table_is_written_and_what_was_left_out_is_told(config: Path, tmp_path: Path) -> None:
    users, out = tmp_path / "users.csv", tmp_path / "out"
    rows = [f"user-{number},x" for number in range(120)]
    users.write_text("\n".join(["shopper,mail", *rows, "user-3,y", ",z"]))

    done = run(config, "--users", users, "--out", out, "-k", 3, "--moment", "2020-12-24")

    assert done.exit_code == 0, done.output
    for line in (
        "rejected: missing user: 1",
        "dropped: repeated user: 1",
        "columns that are no feature of the model: mail",
        "shoppers without a profile: 80",
    ):
        assert line in done.output.splitlines()
    assert f"{out}: 360 rows for 120 shoppers, " in done.output
    assert pa.parquet.read_table(out).num_rows == 360


def test_options_of_beam_need_no_dots(config: Path, tmp_path: Path) -> None:
    done = run(config, "--out", tmp_path / "out", "--runer", "FlinkRunner")

    assert isinstance(done.exception, UserError)
    assert "data.beam: Beam has no option --runer; did you mean runner?" in str(done.exception)


def test_table_has_to_have_a_place(config: Path) -> None:
    done = run(config)

    assert done.exit_code == 2
    assert "Missing option '--out'" in done.output


def test_help_has_examples() -> None:
    assert "tfrec recommend " in run("--help").output.partition("Examples")[2]
