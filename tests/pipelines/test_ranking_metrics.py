import math

import numpy as np
import pytest
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.metrics.metric_types import (
    MetricComputation,
    MetricKey,
    StandardMetricInputs,
)

from tfrec.evaluation.lists import Lists
from tfrec.evaluation.measures import RELEVANCE_MEASURES, Items, Measure, measure_shoppers
from tfrec.pipelines.ranking_metrics import RankingMetric, measure_list

QUERIES, ITEMS, LONGEST = 60, 40, 12


def test_values_are_those_of_the_evaluation() -> None:
    random = np.random.default_rng(0)
    ranked = np.array([random.permutation(ITEMS)[:LONGEST] for _ in range(QUERIES)])
    ranked[0, 5:] = -1  # a list with too few items
    relevant = [random.choice(ITEMS, size=size, replace=False) for size in range(QUERIES)
                if size <= ITEMS] + [np.zeros(0, int)] * (QUERIES - ITEMS - 1)  # fmt: skip
    hits = np.array([np.isin(r, w) for r, w in zip(ranked, relevant, strict=True)])
    shoppers = np.repeat(np.arange(QUERIES), [len(w) for w in relevant])
    lists = Lists(ranked, hits, (shoppers, np.concatenate(relevant)))
    name = np.array([*(f"sku-{row}".encode() for row in range(ITEMS)), b""], object)

    for kind in RELEVANCE_MEASURES:
        for k in (1, 5, LONGEST):
            expected = measure_shoppers(Measure(kind, k), lists, Items(np.ones(ITEMS)))
            found = [
                measure_list(kind, k, name[r][r >= 0], name[w])
                for r, w in zip(ranked, relevant, strict=True)
            ]
            np.testing.assert_allclose(found, expected, err_msg=f"{kind}@{k}")


def test_places_that_a_short_list_leaves_empty_have_missed() -> None:
    assert measure_list("precision", 4, np.array([b"a", b"b"], object), np.array([b"b"])) == 0.25


def test_the_mean_leaves_out_queries_with_nothing_to_find() -> None:
    (combined,) = _combine(
        [("a b c", "b"), ("a b c", "z"), ("a b c", ""), ("b a", "b a")], models=[""]
    ).values()

    assert combined == pytest.approx((1 + 0 + 1) / 3)


def test_candidate_and_baseline_are_measured_apart() -> None:
    values = _combine([("a b", "c"), ("a b", "a")], models=["candidate", "baseline"])

    names = {key.model_name: value for key, value in values.items()}
    assert names == {"candidate": 0.5, "baseline": 0.0}


def test_without_a_query_that_has_something_to_find_there_is_no_number() -> None:
    assert math.isnan(*_combine([("a", "")], models=[""]).values())


def _combine(queries: list[tuple[str, str]], models: list[str]) -> dict[MetricKey, float]:
    """Recall at 2 of lists and relevant ids in words; the baseline's lists are empty."""
    config = tfma.EvalConfig(
        model_specs=[tfma.ModelSpec(name=name, prediction_key="ids") for name in models]
    )
    computations = RankingMetric("recall", 2).computations(eval_config=config, model_names=models)
    inputs = [_inputs(ranked, relevant, models) for ranked, relevant in queries]
    found: dict[MetricKey, float] = {}
    for computation in computations:
        found |= _in_two_bundles(computation, inputs)
    return found


def _inputs(ranked: str, relevant: str, models: list[str]) -> StandardMetricInputs:
    def words(text: str) -> np.ndarray:
        return np.array(text.encode().split(), object)

    answers = [{"ids": words(ranked if name != "baseline" else "")} for name in models]
    several = dict(zip(models, answers, strict=True))
    labels = {name: words(relevant) for name in models}
    single = len(models) == 1
    return StandardMetricInputs(
        {"labels": words(relevant) if single else labels,
         "predictions": answers[0] if single else several}
    )  # fmt: skip


def _in_two_bundles(
    computation: MetricComputation, inputs: list[StandardMetricInputs]
) -> dict[MetricKey, float]:
    """Sums as Beam may: in parts that are merged."""
    combiner = computation.combiner
    parts = []
    for bundle in (inputs[:1], inputs[1:]):
        sums = combiner.create_accumulator()
        for one in bundle:
            sums = combiner.add_input(sums, one)
        parts.append(sums)
    return combiner.extract_output(combiner.merge_accumulators(parts))
