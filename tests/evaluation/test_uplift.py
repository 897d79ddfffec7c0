from itertools import pairwise

import numpy as np
import pytest

from tfrec.evaluation.uplift import AdjustedGains, CountedGains, Gains, measure_uplift


def slow_curve(scores: np.ndarray, gains: Gains) -> list[tuple[float, float]]:
    """Points of a curve from the definition, score by score."""
    points = [(0.0, 0.0)]
    for threshold in sorted(set(scores.tolist()), reverse=True):
        first = scores >= threshold
        if isinstance(gains, CountedGains):
            treated, control, is_treated, is_control = gains.columns.T
            there = is_control[first].sum()
            mean = control[first].sum() / there if there else 0.0
            gained = treated[first].sum() - mean * is_treated[first].sum()
            gained /= is_treated.sum()
        else:
            gained = gains.columns[first, 0].sum() / len(scores)
        points.append((first.mean(), gained))
    return points


def slow_area(points: list[tuple[float, float]]) -> float:
    return sum((right[0] - left[0]) * (left[1] + right[1]) / 2 for left, right in pairwise(points))


def make(kind: str, seed: int = 0, rows: int = 60) -> tuple[np.ndarray, Gains, np.ndarray]:
    """Scores with ties, gains and shoppers."""
    random = np.random.default_rng(seed)
    scores = random.integers(0, 12, rows).astype(float)
    shoppers = random.integers(0, rows // 3, rows)
    if kind == "adjusted":
        return scores, AdjustedGains(random.normal(0.5, 2, rows)), shoppers
    gains = CountedGains(random.normal(1, 1, rows), random.random(rows) < 0.4)
    return scores, gains, shoppers


@pytest.mark.parametrize("kind", ["adjusted", "counted"])
@pytest.mark.parametrize("seed", range(3))
def test_figures_are_those_of_the_definition(kind: str, seed: int) -> None:
    scores, gains, shoppers = make(kind, seed)

    found = measure_uplift({"one": scores}, gains, shoppers, resamples=2, seed=0)["one"]

    points = slow_curve(scores, gains)
    np.testing.assert_allclose(np.c_[found.curve.shares, found.curve.gains], points)
    area = slow_area(points)
    assert found.auuc.value == pytest.approx(area)
    assert found.qini.value == pytest.approx(area - points[-1][1] / 2)


@pytest.mark.parametrize("kind", ["adjusted", "counted"])
def test_draws_are_of_whole_shoppers(kind: str) -> None:
    scores, gains, shoppers = make(kind)
    random = np.random.default_rng(7)
    counts = random.poisson(1, (50, len(np.unique(shoppers))))
    _, numbers = np.unique(shoppers, return_inverse=True)

    found = measure_uplift({"one": scores}, gains, shoppers, resamples=50, seed=7)["one"]

    areas = []
    for count in counts:
        rows = np.repeat(np.arange(len(scores)), count[numbers])
        drawn = type(gains).__new__(type(gains))
        drawn.columns = gains.columns[rows]
        points = slow_curve(scores[rows], drawn)
        areas.append(slow_area(points) - points[-1][1] / 2)
    low, high = np.quantile(areas, [0.025, 0.975])
    assert found.qini.low == pytest.approx(low)
    assert found.qini.high == pytest.approx(high)


def test_equal_scores_are_a_random_order() -> None:
    _, gains, shoppers = make("adjusted")

    found = measure_uplift({"none": np.zeros(60)}, gains, shoppers, 20, seed=0)["none"]

    assert found.qini.value == found.qini.low == found.qini.high == 0
    assert found.curve.at(0.5) == pytest.approx(gains.columns.mean() / 2)


def test_same_seed_gives_the_same_interval() -> None:
    scores, gains, shoppers = make("counted")

    first, again, other = (
        measure_uplift({"one": scores}, gains, shoppers, 20, seed)["one"] for seed in (0, 0, 1)
    )

    assert first.qini == again.qini
    assert first.qini.low != other.qini.low


def randomised(seed: int, rows: int = 4_000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True effects, who was treated by lot, and outcomes."""
    random = np.random.default_rng(seed)
    effects = random.uniform(-1, 1, rows)
    treated = random.random(rows) < 0.5
    return effects, treated, random.normal(0, 1, rows) + effects * treated


def test_true_ranking_is_found_best_and_its_reverse_worst() -> None:
    effects, treated, outcomes = randomised(0)
    noise = np.random.default_rng(1).normal(0, 1, len(effects))
    scores = {"truth": effects, "noisy": effects + noise, "random": noise, "reverse": -effects}
    worth = AdjustedGains(np.where(treated, 2, -2) * outcomes)

    for gains in (worth, CountedGains(outcomes, treated)):
        found = measure_uplift(scores, gains, np.arange(len(effects)), 200, seed=0)
        qini = {name: figures.qini for name, figures in found.items()}

        # The area between the curve of uniform effects and the line.
        assert qini["truth"].low < 1 / 6 < qini["truth"].high
        assert qini["truth"].value > qini["noisy"].value > qini["random"].high
        assert qini["random"].low < 0 < qini["random"].high
        assert qini["reverse"].high < 0
        assert found["truth"].less_than_first.value == 0
        assert found["random"].less_than_first.low > 0


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    held = 0
    for seed in range(40):
        effects, treated, outcomes = randomised(seed, rows=500)
        worth = AdjustedGains(np.where(treated, 2, -2) * outcomes)
        found = measure_uplift({"truth": effects}, worth, np.arange(500), 200, seed)["truth"]
        held += found.qini.low < 1 / 6 < found.qini.high

    assert held >= 34


def test_draws_without_a_row_do_not_count() -> None:
    gains = AdjustedGains(np.array([4.0]))

    found = measure_uplift({"one": np.zeros(1)}, gains, np.zeros(1), 50, seed=0)["one"]

    assert found.auuc.value == found.auuc.low == found.auuc.high == 2


@pytest.mark.parametrize("scores", [np.zeros(3), np.full(60, np.nan)])
def test_scores_that_do_not_fit_are_refused(scores: np.ndarray) -> None:
    _, gains, shoppers = make("adjusted")

    with pytest.raises(ValueError, match="one: scores must be 60 finite numbers"):
        measure_uplift({"one": scores}, gains, shoppers, 2, seed=0)
