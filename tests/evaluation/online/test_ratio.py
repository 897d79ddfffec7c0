import numpy as np
import pytest

from tfrec.evaluation.online.ratio import bootstrap, linearise, mean, ratio


def drawn(seed: int, shoppers: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """Clicks and impressions of shoppers who like clicking more or less; 3 in 10 are clicks."""
    random = np.random.default_rng(seed)
    impressions = random.integers(1, 60, shoppers)
    return random.binomial(impressions, random.beta(0.6, 1.4, shoppers)), impressions


def test_linear_values_have_the_ratio_as_mean() -> None:
    clicks, impressions = drawn(0)

    assert linearise(clicks, impressions).mean() == pytest.approx(clicks.sum() / impressions.sum())


def test_nine_of_ten_intervals_and_more_hold_the_truth_though_impressions_depend() -> None:
    held = plain = 0
    for seed in range(400):
        clicks, impressions = drawn(seed)
        found = ratio(clicks, impressions)
        held += found.low <= 0.3 <= found.high
        error = np.sqrt(found.value * (1 - found.value) / impressions.sum())
        plain += abs(found.value - 0.3) <= 1.96 * error

    assert 0.92 <= held / 400 <= 0.98
    assert plain / 400 < 0.7


def test_bootstrap_agrees_with_the_delta_method() -> None:
    clicks, impressions = drawn(1)

    columns = np.stack([clicks, np.zeros(300)], 1), np.stack([impressions, np.ones(300)], 1)

    delta = ratio(clicks, impressions)
    again, nothing = bootstrap(*columns, 2_000, 0)

    assert again.value == pytest.approx(delta.value)
    assert again.standard_error == pytest.approx(delta.standard_error, rel=0.1)
    assert again.low == pytest.approx(delta.low, abs=0.2 * delta.standard_error)
    assert (nothing.low, nothing.high) == (0, 0)
    assert bootstrap(*columns, 2_000, 0)[0] == again


def test_nothing_to_divide_by_is_no_figure() -> None:
    assert np.isnan(ratio(np.zeros(3), np.zeros(3)).value)


def test_one_shopper_has_no_interval() -> None:
    found = mean(np.array([0.5]))

    assert found.value == 0.5
    assert np.isnan(found.low)


def test_standard_error_is_that_of_the_formula() -> None:
    clicks, impressions = (side.tolist() for side in drawn(2))
    count = len(clicks)
    value, mean_impressions = sum(clicks) / sum(impressions), sum(impressions) / count

    def covariance(one: list[int], other: list[int]) -> float:
        centres = sum(one) / count, sum(other) / count
        pairs = zip(one, other, strict=True)
        return sum((a - centres[0]) * (b - centres[1]) for a, b in pairs) / (count - 1)

    variance = covariance(clicks, clicks) - 2 * value * covariance(clicks, impressions)
    variance += value**2 * covariance(impressions, impressions)

    assert ratio(*drawn(2)).standard_error == pytest.approx(
        (variance / count) ** 0.5 / mean_impressions
    )
