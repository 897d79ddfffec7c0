import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
import tensorflow as tf
import yaml
from shop import Shop

from tfrec.config import validate
from tfrec.data.prepared import TEST, VALIDATION, PreparedData
from tfrec.data.query_set import QuerySet
from tfrec.errors import UserError
from tfrec.stages import tune as tune_stage
from tfrec.stages.artifact import Artifact
from tfrec.stages.experiment import Experiment, ExperimentConfig
from tfrec.stages.reporter import Reporter
from tfrec.stages.train import TrainedModel
from tfrec.stages.tune import Tuned, tune
from tfrec.training.epoch_log import Epoch

L2 = {"low": 1.0, "high": 1000.0, "log": True}
Content = dict[str, Any]


@pytest.fixture(scope="module")
def make_content(
    shop: Shop, prepared: PreparedData, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Content]:
    """Makes configs with a `tuning` section, each of a directory whose data are prepared.

    These data have no test part: who looks at it fails.
    """

    def make(**tuning: Any) -> Content:
        runs = tmp_path_factory.mktemp("runs")
        data = PreparedData(runs / "shop" / "prepare")
        shutil.copytree(prepared.path, data.path)
        for folder in (data.queries(TEST), data.examples(TEST)):
            shutil.rmtree(folder)
        section = {"metric": "recall@5", "trials": 4, "ranges": {"model.l2": L2}, **tuning}
        content = {**shop.config(), "runs": str(runs), "tuning": section}
        return {**content, "model": {"template": "tfrec.models.EASE"}}

    return make


@pytest.fixture
def content(make_content: Callable[..., Content]) -> Content:
    return make_content()


@pytest.fixture
def replace_trials(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[..., float]], None]:
    """Takes what trials are replaced by; there is then no report either."""

    def replace(run_trial: Callable[..., float]) -> None:
        monkeypatch.setattr(tune_stage, "run_trial", run_trial)
        monkeypatch.setattr(tune_stage, "report_trial", lambda *_: None)

    return replace


@pytest.fixture
def runs(replace_trials: Callable[..., None]) -> list[float]:
    """Replaces trials by quick ones that are the better the nearer `l2` is to 30; their `l2`s."""
    made: list[float] = []

    def run_trial(
        config: ExperimentConfig, tuning: Any, prepared: Any, folder: Path, reporter: Reporter
    ) -> float:
        l2 = config.model.settings["l2"]
        made.append(l2)
        folder.mkdir(parents=True, exist_ok=True)
        reporter.step("fitting")
        return -abs(np.log(l2 / 30))

    replace_trials(run_trial)
    return made


def rows(tuned: Tuned) -> list[dict[str, Any]]:
    """The trials, without the time they took."""
    return pa.parquet.read_table(tuned.trials).drop(["seconds"]).to_pylist()


def set_tuning(content: Content, **values: Any) -> Content:
    return {**content, "tuning": {**content["tuning"], **values}}


class Interrupting(Reporter):
    """Is told to stop, as by Ctrl-C, in a trial."""

    def __init__(self, trial: int) -> None:
        self.trial = trial

    def step(self, what: str) -> None:
        if what.startswith(f"trial {self.trial} of") and what.endswith("fitting"):
            raise KeyboardInterrupt


class Listening(Reporter):
    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, what: str) -> None:
        self.warnings.append(what)


@pytest.fixture(scope="module")
def tuned(make_content: Callable[..., Content]) -> Tuned:
    ranges = {"model.l2": L2, "model.most_items": [20, None]}
    return tune(make_content(ranges=ranges, slice="new_to_shopper"))


def test_best_value_is_the_metric_of_the_best_trials_model_on_validation(
    tuned: Tuned, prepared: PreparedData
) -> None:
    best = max(rows(tuned), key=lambda row: row["value"])
    trained = TrainedModel(tuned.artifacts(best["trial"]) / "train")
    score = tf.saved_model.load(str(trained.saved_model)).signatures["score_catalogue"]
    queries = QuerySet.read(prepared.queries(VALIDATION))

    scores = score(recent=tf.constant(queries.inputs(["recent"])["recent"]))["scores"].numpy()

    recalls = []
    answers = queries.table.select(["_relevant", "_seen"]).to_pydict().values()
    for row, relevant, seen in zip(scores, *answers, strict=True):
        wanted = set(relevant) - set(seen)
        ranked = [item for item in np.argsort(-row, kind="stable") if item not in set(seen)]
        if wanted:
            recalls.append(len(wanted & set(ranked[:5])) / len(wanted))
    assert best["value"] == pytest.approx(np.mean(recalls), abs=0.02)


def test_best_config_holds_the_best_values_and_is_valid(tuned: Tuned) -> None:
    best = max(rows(tuned), key=lambda row: row["value"])

    written = yaml.safe_load(tuned.best.read_text())

    assert written["model"]["l2"] == best["model.l2"]
    assert written["model"]["most_items"] == yaml.safe_load(best["model.most_items"])
    Experiment(validate(ExperimentConfig, written))


def test_only_the_best_trial_has_a_report(make_content: Callable[..., Content]) -> None:
    tuned = tune(make_content(trials=3), keep=True)

    best = max(rows(tuned), key=lambda row: row["value"])["trial"]
    assert [number for number in (1, 2, 3) if tuned.report(number).exists()] == [best]
    assert "on the validation window" in tuned.report(best).read_text()


def test_trials_are_told_as_a_table_and_a_plot(tuned: Tuned) -> None:
    made = rows(tuned)

    assert [row["trial"] for row in made] == [1, 2, 3, 4]
    values = [row["value"] for row in made]
    assert [row["best"] for row in made] == [max(values[: end + 1]) for end in range(4)]
    assert pa.csv.read_csv(tuned.trials_csv)["value"].to_pylist() == values
    assert tuned.plot.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("keep", [False, True])
def test_only_the_best_trials_artefacts_stay_unless_all_are_kept(
    content: Content, runs: list[float], keep: bool
) -> None:
    tuned = tune(content, keep=keep)

    best = max(rows(tuned), key=lambda row: row["value"])["trial"]
    there = [number for number in range(1, 5) if tuned.artifacts(number).exists()]
    assert there == ([1, 2, 3, 4] if keep else [best])


def test_tuning_cut_short_ends_as_one_that_was_not(
    make_content: Callable[..., Content], runs: list[float]
) -> None:
    content = make_content(trials=14)
    for trial in (3, 12):
        with pytest.raises(KeyboardInterrupt):
            tune(content, Interrupting(trial))

    again = tune(content)

    assert len(runs) == 14 + 2
    assert runs[2] == runs[3]  # the trial that was cut short was run again
    assert rows(again) == rows(tune(make_content(trials=14)))


def test_data_of_elsewhere_are_tuned_on_and_the_trials_kept_where_one_wants(
    content: Content, runs: list[float], prepared: PreparedData, tmp_path: Path
) -> None:
    shutil.rmtree(Path(content["runs"]) / "shop")

    tuned = tune(content, prepared=Artifact(prepared.path), output=tmp_path / "here")

    assert len(rows(tuned)) == len(runs) == 4
    assert tuned.best == tmp_path / "here" / "best.yaml"
    assert not (Path(content["runs"]) / "shop").exists()


def test_more_trials_follow_those_that_are_done(content: Content, runs: list[float]) -> None:
    first = rows(tune(content))

    more = rows(tune(set_tuning(content, trials=6)))

    assert len(set(runs)) == len(runs) == len(more) == 6
    assert more[:4] == first


def test_trials_of_other_ranges_are_not_compared(content: Content, runs: list[float]) -> None:
    tune(content)

    other = tune(set_tuning(content, ranges={"model.l2": [5.0, 6.0]}))

    assert {row["model.l2"] for row in rows(other)} == {"5.0", "6.0"}
    assert len(rows(other)) == 4
    assert len(list((other.path / "trials").iterdir())) == 1


def test_model_based_draws_come_near_the_best_value(
    make_content: Callable[..., Content], runs: list[float]
) -> None:
    tune(make_content(trials=40))

    late = np.array(runs[-15:])
    assert np.median(np.abs(np.log(late / 30))) < 0.6  # of even draws it would be about 1.7


def test_whole_numbers_stay_whole(content: Content, replace_trials: Callable[..., None]) -> None:
    seen = []

    def run_trial(config: ExperimentConfig, *_: Any) -> float:
        seen.append(config.training.epochs)
        return 0.5

    replace_trials(run_trial)
    tune(set_tuning(content, ranges={"training.epochs": {"low": 1, "high": 3}}, trials=8))

    assert set(seen) == {1, 2, 3}
    assert {type(epochs) for epochs in seen} == {int}


def test_trial_with_a_bad_validation_loss_is_pruned_before_its_last_epoch(
    content: Content, replace_trials: Callable[..., None]
) -> None:
    reached = []

    def run_trial(
        config: ExperimentConfig, tuning: Any, prepared: Any, folder: Path, reporter: Reporter
    ) -> float:
        log = folder / ".train-0123456789ab" / "training_log.jsonl"
        log.parent.mkdir(parents=True)
        worse = 100 if len(reached) == 6 else 0  # the seventh trial
        reached.append(0)
        for epoch in range(1, 5):
            line = Epoch(
                epoch=epoch, loss=1, validation_loss=5 - epoch + worse, seconds=1,
                steps_per_second=1,
            )  # fmt: skip
            with log.open("a") as file:
                file.write(line.model_dump_json() + "\n")
            reached[-1] = epoch
            reporter.progress("training", epoch, 4)
        return 1.0 - 0.1 * len(reached)

    replace_trials(run_trial)
    content = set_tuning(content, trials=8)

    made = rows(tune(content))
    assert reached == [4] * 6 + [1, 4]
    assert [row["state"] for row in made] == ["complete"] * 6 + ["pruned", "complete"]
    assert made[6]["value"] is None

    reached.clear()
    unpruned = {**content, "name": "unpruned", "tuning": {**content["tuning"], "prune": False}}
    folder = Path(content["runs"])
    shutil.copytree(folder / "shop" / "prepare", folder / "unpruned" / "prepare")
    tune(unpruned)
    assert reached == [4] * 8


def test_failed_trial_is_told_and_the_others_go_on(
    content: Content, replace_trials: Callable[..., None]
) -> None:
    made = []

    def run_trial(*_: Any) -> float:
        made.append(len(made))
        if made[-1] == 1:
            raise UserError("training: the loss of epoch 1 is nan")
        return 0.1 * made[-1]

    replace_trials(run_trial)
    reporter = Listening()

    found = rows(tune(content, reporter))

    assert [row["state"] for row in found] == ["complete", "failed", "complete", "complete"]
    assert found[1]["error"] == "training: the loss of epoch 1 is nan"
    assert found[1]["best"] == found[0]["value"]
    assert reporter.warnings == ["trial 2 of 4 failed: training: the loss of epoch 1 is nan"]


def test_tuning_without_a_value_says_the_last_error(
    content: Content, replace_trials: Callable[..., None]
) -> None:
    def run_trial(*_: Any) -> float:
        raise UserError("training: too little memory")

    replace_trials(run_trial)

    with pytest.raises(UserError, match=r"none of 4 trials .*: training: too little memory$"):
        tune(content)


def test_no_trial_begins_when_the_time_is_over(
    content: Content, runs: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(monotonic=lambda: 40.0 * len(runs))
    monkeypatch.setattr(tune_stage, "time", clock)
    reporter = Listening()

    tune(set_tuning(content, timeout="1m"), reporter)

    assert len(runs) == 2
    assert reporter.warnings == ["out of time after 2 of 4 trials"]


def test_second_call_at_the_same_time_is_refused(content: Content, runs: list[float]) -> None:
    class Meddling(Reporter):
        def step(self, what: str) -> None:
            with pytest.raises(UserError, match="another `tfrec tune` is at work there"):
                tune(content)

    tune(content, Meddling())

    assert len(runs) == 4


@pytest.mark.parametrize(
    ("tuning", "message"),
    [
        ({"trials": 0}, r"tuning.trials: 0: .*greater than 0"),
        ({"ranges": {}}, r"tuning.ranges: "),
        ({"ranges": {"model.l3": L2}}, r"tuning.ranges: model.l3: unknown key; known here: l2"),
        ({"ranges": {"training.epoch": [1]}}, r"tuning.ranges: training.epoch: unknown key"),
        ({"ranges": {"model.l2": {"low": -1.0, "high": 1.0}}}, r"tuning.ranges: model.l2: -1.0: "),
        ({"ranges": {"model.l2": {"low": 3, "high": 3}}}, r"model.l2: low 3 is not below high 3"),
        ({"ranges": {"model.l2": {**L2, "low": 0}}}, r"model.l2: low 0 has no logarithm"),
        ({"ranges": {"model.l2": {"low": 3}}}, r"model.l2: give low and high, or a list"),
        ({"ranges": {"model.l2": []}}, r"model.l2: \[\]: give low and high, or a list"),
        ({"ranges": {"data.seed": [1, 2]}}, r"tuning.ranges: .*data.seed: all trials share"),
        ({"metric": "recal@10"}, r"tuning.metric: 'recal@10': not known; known: recall, "),
        ({"metric": "gini@10"}, r"tuning.metric: 'gini@10': not known"),
        ({"metric": "recall"}, r"tuning.metric: 'recall': lacks a cut-off; write e.g. recall@10"),
        ({"metric": "recall@x"}, r"tuning.metric: 'recall@x': write a whole number"),
        ({"metric": "recall@500"}, r"tuning.metric: recall@500: the catalogue has only 120 items"),
        ({"slice": "new"}, r"tuning.slice: 'new': not measured .*known: all, new_to_shopper$"),
    ],
)
def test_mistake_is_named_before_a_trial_is_made(
    content: Content, runs: list[float], tuning: Content, message: str
) -> None:
    with pytest.raises(UserError, match=message) as raised:
        tune(set_tuning(content, **tuning))

    assert len(str(raised.value).splitlines()) == 1
    assert not runs


def test_config_without_ranges_is_refused(content: Content) -> None:
    del content["tuning"]

    with pytest.raises(UserError, match=r"^tuning: missing; add it, e.g. "):
        tune(content)


def test_data_without_a_validation_part_are_refused(content: Content, runs: list[float]) -> None:
    file = Path(content["runs"]) / "shop" / "prepare" / "parts.json"
    parts = json.loads(file.read_text())
    parts[VALIDATION]["examples"] = 0
    file.write_text(json.dumps(parts))

    with pytest.raises(UserError, match=r"^tuning: there is no validation part to choose by"):
        tune(content)
    assert not runs


def test_slice_with_too_few_shoppers_fails_its_trials(content: Content) -> None:
    content["evaluation"] = {"k": [5], "slices": ["channel"], "min_users": 39}
    content = set_tuning(content, slice="all/channel=web", trials=1)

    with pytest.raises(UserError, match=r"all/channel=web has \d+ shoppers in the validation part"):
        tune(content)
