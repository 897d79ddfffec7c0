import shutil
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from command import tfrec
from shop import Shop

from tfrec.cli.main import cli
from tfrec.data.prepared import PreparedData


@pytest.fixture
def config(shop: Shop, prepared: PreparedData, tmp_path: Path) -> Path:
    """A config of a shop that is prepared."""
    shutil.copytree(prepared.path, tmp_path / "shop" / "prepare")
    ranges = {"model.l2": {"low": 1.0, "high": 1000.0, "log": True}}
    content = {
        **shop.config(), "runs": str(tmp_path), "model": {"template": "tfrec.models.EASE"},
        "tuning": {"metric": "recall@5", "trials": 3, "ranges": ranges},
    }  # fmt: skip
    path = tmp_path / "shop.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["tune", *map(str, arguments)])


def test_best_trials_are_shown_best_first(config: Path) -> None:
    done = run(config, "--trials", 2)

    assert done.exit_code == 0, done.output
    assert "Best of 2 trials" in done.output
    lines = (line.split() for line in done.output.splitlines() if line.startswith("│"))
    values = [float(line[3]) for line in lines]
    assert values == sorted(values, reverse=True)
    assert len(values) == 2
    assert (config.parent / "shop" / "tune" / "best.yaml").exists()


def test_the_best_config_is_one_to_go_on_with(config: Path) -> None:
    run(config, "--tuning.trials", 1)

    done = run(config.parent / "shop" / "tune" / "best.yaml", "--trials", 1, "--keep")

    assert done.exit_code == 0, done.output


def test_mistake_leaves_one_line_and_status_2(config: Path) -> None:
    done = tfrec("tune", config, "--trials", 0)

    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: tuning.trials: 0: Input should be greater than 0")


def test_help_has_examples() -> None:
    shown = run("--help").output

    assert "tfrec tune configs/complete_journey.yaml --trials 50" in shown
    assert "model.temperature: {low: 0.02, high: 0.5, log: true}" in shown
