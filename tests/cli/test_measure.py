from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from command import tfrec

from tfrec.cli.main import cli
from tfrec.errors import UserError

DAY = 86_400
HEADER = "item,click,p\n"
ROWS = "a,1,0.5\na,0,0.5\nb,0,0.5\nb,0,0.5\n"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["measure", *map(str, arguments)])


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A config of a test on 200 shoppers; every second one of the new arm clicks."""
    lines = ["user,item,time,type,arm"]
    for number in range(200):
        arm = "new" if number % 2 else "old"
        lines.append(f"u{number},i,{number},impression,{arm}")
        if number % 4 == 3 or number % 20 == 0:
            lines.append(f"u{number},i,{number + 9},click,{arm}")
    lines.append(f"u0,i,{9 * DAY},visit,old")
    (tmp_path / "log.csv").write_text("\n".join(lines))
    columns = {"user": "user", "item": "item", "time": "time", "type_column": "type", "arm": "arm"}
    content = {
        "events": {"source": str(tmp_path / "log.csv"), **columns},
        "arms": {"control": "old", "split": {"old": 0.5, "new": 0.5}},
    }
    path = tmp_path / "measures.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture
def bandit(tmp_path: Path) -> Path:
    """A config of an estimate; the target also does what the log never shows."""
    (tmp_path / "log.csv").write_text(HEADER + ROWS * 50)
    (tmp_path / "target.csv").write_text("item,chance\na,0.8\nb,0.1\nc,0.1\n")
    content = {
        "log": {
            "source": str(tmp_path / "log.csv"),
            **{"action": "item", "reward": "click", "propensity": "p"},
        },
        "target": {
            "kind": "table",
            "source": str(tmp_path / "target.csv"),
            "probability": "chance",
        },
    }
    path = tmp_path / "bandit.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_clicks_are_shown_with_what_is_left_out(config: Path) -> None:
    done = run("clicks", config)

    assert done.exit_code == 0, done.output
    (row,) = (line.split() for line in done.output.splitlines() if "click_through" in line)
    assert row[:3] == ["click_through", "200", "0.3"]
    assert "left out: returns: sessions too young: 1" in done.output
    assert "not given: conversion: needs events of type order or purchase" in done.output


def test_arms_are_shown_with_a_verdict(config: Path) -> None:
    done = run("ab", config, "--metrics", "[click_through]")

    assert done.exit_code == 0, done.output
    (row,) = (line.split() for line in done.output.splitlines() if "click_through" in line)
    assert row[:5] == ["click_through", "new", "0.1", "0.5", "+400.0%"]
    assert row[-1] == "better"
    assert "p 1.0000" in done.output


def test_no_winner_is_shown_where_shoppers_are_missing(config: Path) -> None:
    output = run("ab", config, "--arms.split.new", "0.2").output

    assert "none: sample ratio mismatch" in output
    assert "warning: sample ratio mismatch" in output
    assert "better" not in output


def test_preference_of_shoppers_is_shown(config: Path) -> None:
    done = run("interleaving", config)

    assert done.exit_code == 0, done.output
    rows = [line.split() for line in done.output.splitlines() if line.split()[1:2] == ["100"]]
    assert rows == [["new", "100", "50", "50"], ["old", "100", "10", "10"]]
    assert "83.3% prefer new, 71.5% .. 91.7%" in done.output
    assert "verdict: new" in done.output


def test_estimates_are_shown_with_what_the_log_cannot_tell(bandit: Path) -> None:
    done = run("off-policy", bandit)

    assert done.exit_code == 0, done.output
    rows = [line.split() for line in done.output.splitlines() if "target" in line]
    assert [row[1:3] for row in rows[:2]] == [["IPS", "0.4"], ["SNIPS", "0.44444"]]
    assert "the log never shows 10.00% of the target's choices: c" in done.output


def test_a_few_rows_are_not_trusted(bandit: Path) -> None:
    log = bandit.with_name("log.csv")
    log.write_text(HEADER + ROWS)

    assert "a few rows carry the whole estimate" in run("off-policy", bandit).output


def test_error_leaves_one_line_and_status_2(bandit: Path) -> None:
    bandit.with_name("log.csv").write_text(HEADER + "a,1,0\nb,0,1\n")

    done = tfrec("measure", "off-policy", bandit)

    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: log.propensity: 1 of 2 rows are not above 0 and up to 1: 0;")


def test_section_that_is_wrong_is_named(config: Path) -> None:
    done = run("clicks", config, "--order_within", "soon")

    assert isinstance(done.exception, UserError)
    assert str(done.exception).startswith("order_within: 'soon': not a duration")


@pytest.mark.parametrize("command", [[], ["clicks"], ["ab"], ["off-policy"], ["interleaving"]])
def test_help_has_an_example(command: list[str]) -> None:
    assert "tfrec measure " in run(*command, "--help").output.partition("Example")[2]
