from typing import Any

import pytest

from tfrec.config import validate
from tfrec.errors import UserError
from tfrec.evaluation.config import EvaluationConfig, SliceConfig


def read(**content: Any) -> EvaluationConfig:
    return validate(EvaluationConfig, content, "evaluation")


def titles(config: EvaluationConfig) -> list[str]:
    return [config.title(measure) for measure in config.measures]


def test_metrics_without_a_cutoff_are_measured_at_each_k() -> None:
    assert titles(read(k=[5, 20])) == ["recall@5", "ndcg@5", "recall@20", "ndcg@20", "mrr"]
    assert titles(read(k=[5], metrics=["map", "map@3", "coverage@7", "map@5"])) == [
        "map@5", "map@3", "coverage@7",
    ]  # fmt: skip


def test_the_longest_list_is_that_of_the_largest_cutoff() -> None:
    assert read(k=[5, 20]).longest == 20
    assert read(k=[5], metrics=["recall@50", "ndcg"]).longest == 50
    assert read(k=[5, 300], metrics=["mrr"]).measures[0].k == 300


def test_whole_catalogue_and_both_rankings_are_the_default() -> None:
    config = read()

    assert config.candidates.sampled is None
    assert str(config.candidates) == "full catalogue"
    assert config.rankings == ("all", "new_to_shopper")
    assert read(candidates="full") == config


def test_sampled_metrics_say_so_in_their_names() -> None:
    config = read(k=[10], candidates={"sampled": 100, "by": "popularity", "seed": 3})

    assert titles(config) == ["sampled_recall@10", "sampled_ndcg@10", "sampled_mrr"]
    assert str(config.candidates) == "sampled: 100 items, popularity, seed 3"


def test_a_name_alone_is_a_slice_by_feature() -> None:
    config = read(slices=["weekday", {"feature": "price", "quantiles": 4}, {"cold_items": 5}])

    assert config.slices == (
        SliceConfig(feature="weekday"),
        SliceConfig(feature="price", quantiles=4),
        SliceConfig(cold_items=5),
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"metrics": ["recall", "recal@5"]}, r"evaluation\.metrics: .*recal@5 is not known; known"),
        ({"metrics": ["auc"]}, r"metrics: .*auc needs labelled examples"),
        ({"metrics": ["gauc@5"]}, r"metrics: .*gauc@5 needs labelled examples"),
        (
            {"metrics": ["recall@x"]},
            r"recall@x: write a whole number after the @, e\.g\. recall@10",
        ),
        ({"metrics": ["recall@0"]}, r"recall@0: write a whole number"),
        (
            {"candidates": {"sampled": 500}, "metrics": ["coverage"]},
            r"coverage is of the whole catalogue's lists; set candidates: full",
        ),
        (
            {"candidates": {"sampled": 50}, "metrics": ["recall"]},
            r"a list of 100 is longer than candidates\.sampled, 50; lower k",
        ),
        ({"candidates": "some"}, r"evaluation\.candidates: 'some': not known; write full, or"),
        ({"candidates": {"sampled": 0}}, r"evaluation\.candidates\.sampled: 0: "),
        ({"slices": [{"quantiles": 4}]}, r"slices\.0: give one of feature, cold_items and"),
        ({"slices": [{"cold_users": 4, "quantiles": 2}]}, r"slices\.0: quantiles are of a feature"),
        ({"slices": [{"cold_items": 1, "cold_users": 1}]}, r"slices\.0: give one of"),
        (
            {"bless": [{"metric": "recall@7", "over": "last"}]},
            r"bless\.0: recall@7 is not measured; measured: recall@10, .*predict labels auc",
        ),
        (
            {"bless": [{"metric": "mrr", "over": "ease"}]},
            r"bless\.0: over ease is not measured; add it to baselines",
        ),
        (
            {"bless": [{"metric": "auc", "over": "popularity"}]},
            r"bless\.0: auc needs predictions, and popularity makes none; compare with last or",
        ),
        (
            {"bless": [{"metric": "auc", "over": 0.7, "slice": "new_to_shopper"}]},
            r"bless\.0: auc is of all examples; leave slice out",
        ),
        (
            {"bless": [{"metric": "mrr", "over": 0.1, "task": "click"}]},
            r"bless\.0: mrr is of rankings, which have no task",
        ),
        ({"seen": "hide"}, r"evaluation\.seen: 'hide': "),
        ({"k": [0]}, r"evaluation\.k\.0: 0: "),
    ],
)
def test_what_cannot_be_measured_is_refused_by_name(content: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read(**content)
