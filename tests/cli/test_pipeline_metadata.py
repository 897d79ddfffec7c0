import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from recorded_runs import FIRST, SECOND, Part, RecordedRuns, State, shop_run

from tfrec.cli.main import cli
from tfrec.errors import UserError


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pipeline")
    runs = RecordedRuns(folder)
    runs.add("shop", FIRST, shop_run("100", goes_on="/old/model/7"))
    runs.add("shop", SECOND, [*shop_run("200", cached=True)[:4], Part("X", state=State.FAILED)])
    path = folder / "shop.yaml"
    path.write_text(yaml.safe_dump({"name": "shop", "pipeline": {"root": str(folder)}}))
    return path


def _call(*arguments: object) -> Result:
    result = CliRunner().invoke(cli, ["pipeline", *map(str, arguments)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_runs_are_listed(config: Path) -> None:
    lines = [line.split() for line in _call("runs", config).output.splitlines()]

    second, first = (line for line in lines if line[0] == "│")
    assert (second[1], second[3], second[7:10]) == (SECOND, "failed", ["3", "of", "5"])
    assert (first[1], first[3], first[7:10]) == (FIRST, "complete", ["0", "of", "7"])


def test_a_run_is_shown_with_its_artefacts(config: Path) -> None:
    newest, first = _call("show", config).output, _call("show", config, FIRST).output

    assert f"{SECOND}: failed" in newest
    assert "Trainer" in newest
    assert "Pusher" not in newest
    assert "model: Trainer/model/01" in first
    assert "all 2 rules hold" in first
    assert f"artefacts are below {config.parent}/shop" in first


def test_a_version_is_followed_and_drawn(config: Path, tmp_path: Path) -> None:
    printed = _call("lineage", config, "--picture", tmp_path / "lineage.svg").output

    assert printed.startswith("version 100 in /serving/shop/100")
    order = [
        "blessed by ModelEvaluator",
        "bundle by B",
        "model by T",
        "learned on from /old",
        "prepared by E",
        "events ",
    ]
    places = [printed.index(text) for text in order]
    assert places == sorted(places)
    assert "<svg" in (tmp_path / "lineage.svg").read_text()


def test_everything_is_there_as_json(config: Path) -> None:
    runs = json.loads(_call("runs", config, "--json").output)
    shown = json.loads(_call("show", config, FIRST, "--json").output)
    lineage = json.loads(_call("lineage", config, "100", "--json").output)

    assert [run["id"] for run in runs] == [SECOND, FIRST]
    assert shown == runs[1]
    assert shown["components"][3]["outputs"][0]["name"] == "model"
    assert lineage["version"] == "100"


def test_values_of_the_config_can_be_given(config: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved.sqlite"
    shutil.copy(config.with_name("metadata.sqlite"), moved)
    elsewhere = tmp_path / "elsewhere.yaml"
    elsewhere.write_text("name: shop")

    assert FIRST in _call("runs", elsewhere, "--pipeline.metadata", moved).output
    assert "model:" in _call("show", elsewhere, FIRST, f"--pipeline.metadata={moved}").output


def test_nothing_waits_for_tensorflow(config: Path) -> None:
    call = f"cli(['pipeline', 'lineage', {str(config)!r}], standalone_mode=False)"
    code = f"import sys; from tfrec.cli.main import cli; {call}; print(sorted(sys.modules))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "'ml_metadata'" in done.stdout
    assert not {"'tensorflow'", "'tfx'", "'kfp'"} & set(done.stdout.replace("]", ",").split(", "))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["runs", "--name=nobody"], "knows no run of nobody"),
        (["runs", "--pipeline.rot=x"], "pipeline.rot: unknown key"),
        (["lineage", "100", "--picture", "picture.txt"], "picture.txt: not a kind of picture"),
    ],
)
def test_mistakes_are_one_line(config: Path, arguments: list[str], message: str) -> None:
    command, *others = arguments

    with pytest.raises(UserError, match=message):
        _call(command, config, *others)
