import json
import shutil
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from shop import Shop

from tfrec.cli.main import cli
from tfrec.data.prepared import PreparedData
from tfrec.stages.artifact import Artifact


@pytest.fixture
def config(shop: Shop, prepared: PreparedData, tmp_path: Path) -> Path:
    """A config of a shop that is prepared."""
    shutil.copytree(prepared.path, tmp_path / "shop" / "prepare")
    content = {**shop.config(), "runs": str(tmp_path), "model": {"template": "tfrec.models.EASE"}}
    path = tmp_path / "shop.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [*map(str, arguments)])


def test_kind_of_an_index_has_a_short_name(config: Path) -> None:
    assert run("train", config).exit_code == 0

    done = run("index", config, "--kind", "partitioned", "--index.promise.k", "7")

    assert done.exit_code == 0, done.output
    section = Artifact(config.parent / "shop" / "index").manifest.config
    assert (section["kind"], section["promise"]["k"]) == ("partitioned", 7)


def test_kind_that_does_not_exist_is_refused_with_those_that_do(config: Path) -> None:
    done = run("index", config, "--kind", "hnsw")

    assert done.exit_code == 2
    assert "'hnsw' is not one of 'auto', 'brute_force', 'partitioned', 'scann'" in done.output


def test_help_of_index_says_what_kinds_there_are() -> None:
    text = " ".join(run("index", "--help").output.split())

    assert "--kind [auto|brute_force|partitioned|scann] Short for --index.kind" in text
    assert "--kind" not in run("export", "--help").output


def test_training_in_a_cluster_needs_to_be_told_of_it(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TF_CONFIG", raising=False)

    done = run("train", config, "--pipeline.training_on", "tf_config")

    assert str(done.exception).startswith("TF_CONFIG: not set; start every task with its own")


def test_tasks_of_a_cluster_only_train_together(config: Path) -> None:
    done = run("run", config, "--pipeline.training_on", "tf_config")

    assert "has every task run `tfrec train CONFIG`" in str(done.exception)


def test_a_model_in_closed_form_takes_no_cluster(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = {"cluster": {"chief": ["a:1"]}, "task": {"type": "chief", "index": 0}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(alone))

    done = run("train", config, "--pipeline.training_on", "tf_config")

    assert "tfrec.models.EASE is fitted by one process" in str(done.exception)
