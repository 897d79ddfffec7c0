import json
from collections.abc import Callable
from pathlib import Path

import pytest
from shop import Shop
from two_components import two_components

from tfrec.config import validate
from tfrec.errors import UserError
from tfrec.pipelines import local
from tfrec.stages.experiment import ExperimentConfig
from tfrec.stages.reporter import Reporter
from tfrec.training.config import TrainingConfig
from tfrec.training.heartbeat import HEARTBEAT, Heartbeat

Run = Callable[..., dict[str, bool]]


class Heard(Reporter):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def stage(self, name: str) -> None:
        self.lines.append(name)

    def step(self, what: str) -> None:
        self.lines.append(f"  {what}")


@pytest.fixture
def config(shop: Shop) -> ExperimentConfig:
    return validate(ExperimentConfig, shop.config())


@pytest.fixture
def run(config: ExperimentConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs two components, the second with an order, and says which come from the cache."""

    def call(order: str = "", word: str = "tea", reporter: Reporter | None = None) -> dict:
        (tmp_path / "orders").write_text(order)
        monkeypatch.setattr(local, "build", lambda _: two_components(tmp_path, word))
        return {made.name: made.cached for made in local.run(config, reporter)}

    return call


def test_each_component_and_its_steps_are_told(run: Run) -> None:
    heard = Heard()

    run(reporter=heard)
    run(reporter=heard)

    first = ["Maker", "  running", "  making tea", "Breaker", "  running"]
    assert heard.lines == [*first, "Maker", "Breaker"]


def test_unchanged_components_are_taken_from_the_cache(run: Run) -> None:
    assert run() == {"Maker": False, "Breaker": False}
    assert run() == {"Maker": True, "Breaker": True}
    assert run(word="milk") == {"Maker": False, "Breaker": False}


@pytest.mark.parametrize("order", ["mistake", "crash"])
def test_a_run_goes_on_where_one_broke(run: Run, order: str, tmp_path: Path) -> None:
    with pytest.raises((UserError, RuntimeError)):
        run(order)
    assert not list((tmp_path / "root" / "Breaker" / "read").iterdir())

    assert run() == {"Maker": True, "Breaker": False}


def test_a_mistake_is_one_line_with_its_component(run: Run) -> None:
    with pytest.raises(UserError) as caught:
        run("mistake")

    assert str(caught.value) == "Breaker: data.events: no such thing; mend it"


def test_a_bug_is_raised_as_it_is(run: Run) -> None:
    with pytest.raises(RuntimeError, match=r"^a bug$"):
        run("crash")


def test_artefacts_of_this_machine_are_in_a_directory(config: ExperimentConfig) -> None:
    far = config.pipeline.model_copy(update={"root": "gs://bucket/runs"})

    with pytest.raises(UserError, match=r"^pipeline\.root: gs://bucket/runs: this machine keeps"):
        local.run(config.model_copy(update={"pipeline": far}))


@pytest.fixture
def in_cluster(config: ExperimentConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs two components as a task of a cluster that is to train."""

    def call(kind: str, servers: int = 1) -> dict[str, bool]:
        cluster = {"chief": ["a:1"], "worker": ["b:1", "c:1"], "ps": ["d:1"] * servers}
        place = {"cluster": cluster, "task": {"type": kind, "index": 0}}
        monkeypatch.setenv("TF_CONFIG", json.dumps(place))
        (tmp_path / "orders").touch()
        monkeypatch.setattr(local, "build", lambda _: two_components(tmp_path))
        changes = {"root": str(tmp_path / "found"), "training_on": "tf_config"}
        training = TrainingConfig(workers=2, parameter_servers=1)
        pipeline = config.pipeline.model_copy(update=changes)
        changed = config.model_copy(update={"pipeline": pipeline, "training": training})
        return {made.name: made.cached for made in local.run(changed)}

    return call


def test_those_that_join_learn_that_a_run_has_come_to_its_end(
    in_cluster: Run, config: ExperimentConfig, tmp_path: Path
) -> None:
    heartbeat = Heartbeat(tmp_path / "found" / config.name / HEARTBEAT)

    assert in_cluster("chief") == {"Maker": False, "Breaker": False}

    assert heartbeat.has_ended


@pytest.mark.parametrize(
    ("kind", "servers", "message"),
    [
        ("worker", 1, r"^TF_CONFIG: worker-0 does not lead its cluster; it helps"),
        ("chief", 2, r"^TF_CONFIG: its cluster has 1 chief, 2 worker, 2 ps, while"),
    ],
)
def test_a_cluster_that_cannot_train_is_refused_before_anything_runs(
    in_cluster: Run, kind: str, servers: int, message: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message):
        in_cluster(kind, servers)

    assert not (tmp_path / "root").exists()


def test_what_a_failed_execution_left_is_removed_by_the_next(run: Run, tmp_path: Path) -> None:
    beside = tmp_path / "root" / "Breaker" / "read"
    left, goes_on = beside / ".2-0123456789ab", beside / ".unfinished-0123456789ab"
    with pytest.raises(UserError):
        run("mistake")
    for folder in (left, goes_on):
        folder.mkdir()

    run()

    assert not left.exists()
    assert goes_on.exists()
