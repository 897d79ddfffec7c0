from collections.abc import Sequence
from pathlib import Path

import pytest

from tfrec.errors import UserError
from tfrec.evaluation.blessing import Blessed, Figures, Rule, figures_of, judge, settle

FIGURES = {
    "model": {
        "all": {"recall@10": 0.30, "ndcg@10": 0.20, "gini@10": 0.8, "mrr": float("nan")},
        "all/tiny": {"recall@10": None},
        "task click": {"auc": 0.75, "log_loss": 0.40},
    },
    "popularity": {
        "all": {"recall@10": 0.25, "ndcg@10": 0.20, "gini@10": 0.9, "mrr": 0.1},
        "all/tiny": {"recall@10": None},
    },
}
TASKS = {"click": ("auc", "log_loss"), "stars": ("rmse", "mae")}


def rule(**fields: object) -> Rule:
    return Rule.model_validate({"metric": "recall@10", "over": "popularity", **fields})


def blesses(rules: Sequence[Rule], last: Figures | None = None) -> bool:
    return judge(rules, FIGURES, last, "model").blessed


@pytest.mark.parametrize(
    ("margin", "blessed"), [(0.0, True), (0.049, True), (0.051, False), (-0.1, True)]
)
def test_a_model_must_be_better_by_the_margin(margin: float, blessed: bool) -> None:
    verdict = judge([rule(margin=margin)], FIGURES, None, "model")

    assert verdict.blessed is blessed
    assert "0.3000 against 0.2500" in verdict.rules[0]


@pytest.mark.parametrize(
    ("margin", "blessed"), [(0.0, True), (0.099, True), (0.101, False), (-0.1, True)]
)
def test_of_an_uneven_catalogue_less_is_better(margin: float, blessed: bool) -> None:
    assert blesses([rule(metric="gini@10", margin=margin)]) is blessed


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "recall@10 of all above popularity"),
        ({"margin": 0.1}, "recall@10 of all above popularity by 0.1"),
        ({"margin": -0.1}, "recall@10 of all no more than 0.1 below popularity"),
        ({"metric": "sampled_gini@10"}, "sampled_gini@10 of all below popularity"),
        ({"metric": "gini@10", "margin": 0.1}, "gini@10 of all below popularity by 0.1"),
        (
            {"metric": "rmse", "task": "stars", "over": "last", "margin": -0.1},
            "rmse of task stars no more than 0.1 above last",
        ),
        ({"metric": "auc", "task": "click", "over": 0.7}, "auc of task click above 0.7"),
    ],
)
def test_a_rule_reads_as_what_it_asks(fields: dict[str, object], words: str) -> None:
    assert str(rule(**fields)) == words


def test_a_tie_is_not_better() -> None:
    assert not blesses([rule(metric="ndcg@10")])


def test_predictions_are_compared_with_a_number_and_with_the_last_blessed_model() -> None:
    last = {"task click": {"auc": 0.76, "log_loss": 0.45}}

    for fields, blessed in (
        ({"metric": "auc", "over": 0.74}, True),
        ({"metric": "auc", "over": 0.75}, False),
        ({"metric": "auc", "over": "last"}, False),
        ({"metric": "auc", "over": "last", "margin": -0.02}, True),
        ({"metric": "log_loss", "over": 0.41}, True),
        ({"metric": "log_loss", "over": 0.39}, False),
        ({"metric": "log_loss", "over": "last", "margin": 0.04}, True),
        ({"metric": "log_loss", "over": "last", "margin": 0.06}, False),
    ):
        assert blesses([rule(task="click", **fields)], last) is blessed, fields


def test_the_verdict_names_the_first_broken_rule() -> None:
    rules = [rule(), rule(margin=0.1), rule(margin=0.2)]

    verdict = judge(rules, FIGURES, None, "model")

    assert verdict.because == (
        "recall@10 of all above popularity by 0.1: broken, 0.3000 against 0.2500"
    )
    assert len(verdict.rules) == 3


def test_the_last_blessed_model_is_compared_where_there_is_one() -> None:
    over_last = [rule(over="last", margin=-0.01)]

    first = judge(over_last, FIGURES, None, "model")

    assert first.blessed
    assert "no model was blessed before" in first.rules[0]
    assert not blesses(over_last, {"all": {"recall@10": 0.32}})
    assert blesses(over_last, {"all": {"recall@10": 0.305}})


def test_without_rules_every_model_is_blessed() -> None:
    assert blesses([])


@pytest.mark.parametrize("fields", [{"slice": "all/tiny"}, {"metric": "mrr"}])
def test_a_figure_that_is_none_breaks_its_rule(fields: dict[str, str]) -> None:
    verdict = judge([rule(**fields)], FIGURES, None, "model")

    assert not verdict.blessed
    assert "too little to measure it on" in verdict.because


def test_rules_of_the_only_task_need_not_name_it() -> None:
    (settled,) = settle([rule(metric="rmse", over=1.0)], ["all"], {"stars": ("rmse",)}, None)

    assert settled.place == "task stars"


@pytest.mark.parametrize(
    ("fields", "tasks", "message"),
    [
        ({"slice": "new"}, TASKS, r"0\.slice: 'new' is not measured; measured: all, all/tiny"),
        ({"metric": "auc", "over": 0.7}, {}, r"0\.metric: auc needs a model that predicts labels"),
        (
            {"metric": "auc", "over": 0.7},
            TASKS,
            r"0\.task: missing; the model predicts click, ",
        ),
        (
            {"metric": "auc", "over": 0.7, "task": "buy"},
            TASKS,
            r"0\.task: 'buy' is not predicted; known: click, stars",
        ),
        (
            {"metric": "auc", "over": 0.7, "task": "stars"},
            TASKS,
            r"0\.metric: auc is not measured of stars; measured: rmse, mae",
        ),
        (
            {"metric": "recall@20", "over": "last"},
            TASKS,
            r"0: the model that was blessed last has no recall@20 of all; leave the rule out until",
        ),
    ],
)
def test_what_will_not_be_measured_is_refused_by_name(
    fields: dict[str, object], tasks: dict[str, tuple[str, ...]], message: str
) -> None:
    with pytest.raises(UserError, match=rf"^evaluation\.bless\.{message}"):
        settle([rule(**fields)], ["all", "all/tiny"], tasks, FIGURES["popularity"])


def test_tasks_are_figures_of_the_model_alone() -> None:
    summary = {
        "metrics": {"model": {"all": {"mrr": 0.2}}, "popularity": {"all": {"mrr": 0.1}}},
        "predictions": {"click": {"auc": 0.7}},
    }

    assert figures_of(summary) == {
        "model": {"all": {"mrr": 0.2}, "task click": {"auc": 0.7}},
        "popularity": {"all": {"mrr": 0.1}},
    }


def test_a_model_is_never_compared_with_itself(tmp_path: Path) -> None:
    blessed = Blessed(tmp_path / "blessed.json")
    first, second = {"all": {"recall@10": 0.1}}, {"all": {"recall@10": 0.2}}

    assert blessed.before("one") is None
    blessed.bless("one", first)
    assert blessed.before("one") is None
    assert blessed.before("two") == first
    blessed.bless("two", second)
    blessed.bless("two", second)
    assert blessed.before("two") == first
    assert blessed.before("three") == second
