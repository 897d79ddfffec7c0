import numpy as np
import pytest

from tfrec.evaluation.online.cuped import adjust


def drawn(seed: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Values and covariates, whose correlation is 0.8, of two arms that differ by 0.1."""
    random = np.random.default_rng(seed)
    before = [random.normal(5, 1, 400), random.normal(5, 1, 500)]
    noise = [random.normal(0, 0.6, 400), random.normal(0.1, 0.6, 500)]
    values = [0.8 * one + other for one, other in zip(before, noise, strict=True)]
    return values, before


def difference(values: list[np.ndarray]) -> float:
    return values[1].mean() - values[0].mean()


def test_difference_stays_the_same_on_average_and_varies_less() -> None:
    plain = np.array([difference(drawn(seed)[0]) for seed in range(300)])
    adjusted = np.array([difference(adjust(*drawn(seed))) for seed in range(300)])

    assert adjusted.mean() == pytest.approx(0.1, abs=0.01)
    assert adjusted.var() / plain.var() == pytest.approx(1 - 0.8**2, rel=0.25)


def test_covariate_that_tells_nothing_changes_nothing() -> None:
    values, _ = drawn(0)

    adjusted = adjust(values, [np.zeros(400), np.zeros(500)])

    assert all((one == other).all() for one, other in zip(values, adjusted, strict=True))
