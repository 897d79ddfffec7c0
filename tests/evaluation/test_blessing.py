from pathlib import Path

import pytest

from tfrec.errors import UserError
from tfrec.evaluation.blessing import Blessed, Rule, judge

METRICS = {
    "model": {"all": {"recall@10": 0.30, "ndcg@10": 0.20}, "all/tiny": {"recall@10": None}},
    "popularity": {"all": {"recall@10": 0.25, "ndcg@10": 0.20}, "all/tiny": {"recall@10": None}},
}


def rule(**fields: object) -> Rule:
    return Rule.model_validate({"metric": "recall@10", "over": "popularity", **fields})


@pytest.mark.parametrize(
    ("margin", "blessed"), [(0.0, True), (0.049, True), (0.051, False), (-0.1, True)]
)
def test_a_model_must_be_better_by_the_margin(margin: float, blessed: bool) -> None:
    verdict = judge([rule(margin=margin)], METRICS, None, "model")

    assert verdict.blessed is blessed
    assert "0.3000 against 0.2500" in verdict.rules[0]


def test_a_tie_is_not_better() -> None:
    verdict = judge([rule(metric="ndcg@10")], METRICS, None, "model")

    assert not verdict.blessed


def test_the_verdict_names_the_first_broken_rule() -> None:
    rules = [rule(), rule(margin=0.1), rule(margin=0.2)]

    verdict = judge(rules, METRICS, None, "model")

    assert verdict.because == (
        "recall@10 of all over popularity by 0.1: broken, 0.3000 against 0.2500"
    )
    assert len(verdict.rules) == 3


def test_the_last_blessed_model_is_compared_where_there_is_one() -> None:
    over_last = [rule(over="last", margin=-0.01)]

    first = judge(over_last, METRICS, None, "model")
    worse = judge(over_last, METRICS, {"all": {"recall@10": 0.32}}, "model")
    near = judge(over_last, METRICS, {"all": {"recall@10": 0.305}}, "model")

    assert (first.blessed, worse.blessed, near.blessed) == (True, False, True)
    assert "no model was blessed before" in first.rules[0]


def test_without_rules_every_model_is_blessed() -> None:
    assert judge([], METRICS, None, "model").blessed


def test_a_slice_with_too_few_shoppers_breaks_its_rule() -> None:
    verdict = judge([rule(slice="all/tiny")], METRICS, None, "model")

    assert not verdict.blessed
    assert "too few shoppers" in verdict.because


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"over": "ease"}, "over 'ease' is not measured"),
        ({"metric": "mrr"}, "'mrr' is not measured; measured: recall@10, ndcg@10"),
        ({"slice": "new"}, "'new' is not measured; measured: all"),
    ],
)
def test_what_is_not_measured_is_refused_by_name(fields: dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=f"^evaluation.bless: {message}"):
        judge([rule(**fields)], METRICS, None, "model")


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
