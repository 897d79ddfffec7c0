import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from shop import Shop

from tfrec.cli.main import cli
from tfrec.errors import UserError
from tfrec.pipelines import joining
from tfrec.training.heartbeat import HEARTBEAT, say_ended

CLUSTER = {"chief": ["a:1"], "worker": ["b:1", "c:1"], "ps": ["d:1"]}


@pytest.fixture
def config(shop: Shop, tmp_path: Path) -> Path:
    content = shop.config(training={"strategy": "parameter_server", "parameter_servers": 1})
    content["pipeline"] = {"root": str(tmp_path / "pipeline"), "training_on": "tf_config"}
    path = tmp_path / "shop.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker's place in the cluster."""
    task = {"type": "worker", "index": 1}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": CLUSTER, "task": task}))


def call(*arguments: object) -> str:
    result = CliRunner().invoke(cli, ["pipeline", "join", *map(str, arguments)])
    if isinstance(result.exception, UserError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.usefixtures("place")
def test_it_ends_with_a_run_that_trains_nothing(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "pipeline" / "shop"
    run.mkdir(parents=True)
    monkeypatch.setattr(joining, "left_unfinished", lambda work: say_ended(run / HEARTBEAT) or [])

    said = " ".join(call(config).split())

    assert f"join: waiting for a pipeline's run in {run}" in said
    assert said.endswith("join: the run ended without training; its model is from the cache")


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            ("--pipeline.training_on", "processes"),
            r"^pipeline.training_on: processes: there is nothing to join; give tf_config",
        ),
        (
            ("--pipeline.root", "gs://shop/pipeline"),
            r"^pipeline.root: gs://shop/pipeline: tasks of a cluster meet in a directory",
        ),
        (("--training.workers", "3"), r"^TF_CONFIG: its cluster has 1 chief, 2 worker, 1 ps"),
        (
            ("--training.worker_timeout", "1s"),
            r"^training: the leader, a:1, gives no sign of life in .*pipeline/shop for 1 s",
        ),
    ],
    ids=["elsewhere", "object store", "other cluster", "no run"],
)
def test_what_it_cannot_join_is_one_line(
    config: Path, changes: tuple[str, str], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        call(config, *changes)


def test_a_task_that_is_not_told_its_place_says_so(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TF_CONFIG", raising=False)

    with pytest.raises(UserError, match=r"^TF_CONFIG: not set; start every task with its own"):
        call(config)


def test_help_shows_how_a_task_is_told_its_place() -> None:
    text = " ".join(call("--help").split())

    assert """TF_CONFIG='{"cluster": {"chief": ["a:2222"]""" in text
    assert "--keep Stay for the training of the next run" in text
