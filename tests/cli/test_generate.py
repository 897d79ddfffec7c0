from pathlib import Path

import pyarrow.parquet
import pytest
from click.testing import CliRunner, Result

from tfrec.cli.generate import generate
from tfrec.data.synthetic import SyntheticShop
from tfrec.errors import UserError

SMALL = ["--events", "500", "--users", "20", "--items", "30", "--days", "3"]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(generate, [str(argument) for argument in arguments])


def test_shop_is_written_and_the_next_command_told(tmp_path: Path) -> None:
    result = run(tmp_path / "shop", *SMALL, "--seed", 3)

    assert result.exception is None
    assert result.output.splitlines() == [
        "500 events of 20 users on 30 items",
        f"next: tfrec run {tmp_path}/shop/experiment.yaml",
    ]
    assert len(pyarrow.parquet.read_table(tmp_path / "shop" / "events")) == 500


def test_any_parameter_is_set_by_its_dotted_name(tmp_path: Path) -> None:
    run(tmp_path / "shop", *SMALL, "--sessions.web_share", 0, "--categories=2")

    channels = pyarrow.parquet.read_table(tmp_path / "shop" / "events")["channel"]
    items = pyarrow.parquet.read_table(tmp_path / "shop" / "items.parquet")
    assert channels.unique().to_pylist() == ["app"]
    assert len(items["category"].unique()) == 2


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--events", "many"], "events: 'many': Input should be a valid integer"),
        (["--clusters", "3"], "clusters: unknown key; known here: users, items, events"),
        (["--sessions.looks", "0"], "sessions.looks: 0: Input should be greater than or equal"),
    ],
)
def test_bad_value_leaves_nothing_and_is_named(
    arguments: list[str], line: str, tmp_path: Path
) -> None:
    result = run(tmp_path / "shop", *arguments)

    assert isinstance(result.exception, UserError)
    assert str(result.exception).startswith(line)
    assert list(tmp_path.iterdir()) == []


def test_used_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes").touch()

    result = run(tmp_path, *SMALL)

    assert isinstance(result.exception, UserError)
    assert f"{tmp_path}: exists already" in str(result.exception)


def test_help_shows_examples_and_the_defaults_that_hold() -> None:
    text = run("--help").output

    assert "tfrec datasets generate big_shop --events 20000000" in text
    for name in ("events", "users", "items", "days", "seed"):
        default = SyntheticShop.model_fields[name].default
        (line,) = [line for line in text.splitlines() if line.strip().startswith(f"--{name} N")]
        assert f"[default: {default}]" in line
