import itertools
import math

import numpy as np
import pytest

from tfrec.evaluation import intervals
from tfrec.evaluation.intervals import bootstrap, compare


def test_interval_is_as_wide_as_theory_says() -> None:
    random = np.random.default_rng(0)
    values = np.column_stack([random.normal(3, 2, 2000), (random.random(2000) < 0.1)])

    low, high = bootstrap(values, 2000, seed=0)

    expected = 1.96 * values.std(axis=0) / math.sqrt(2000)
    assert (high - low) / 2 == pytest.approx(expected, rel=0.08)
    assert (high + low) / 2 == pytest.approx(values.mean(axis=0), rel=0.02)


def test_intervals_hold_the_truth_19_times_in_20() -> None:
    random = np.random.default_rng(0)
    values = (random.random([200, 400]) < 0.3).astype(float)  # 400 samples of 200 shoppers

    low, high = bootstrap(values, 500, seed=1)

    assert ((low <= 0.3) & (high >= 0.3)).mean() == pytest.approx(0.95, abs=0.03)


def test_same_seed_gives_the_same_interval_and_another_one_another() -> None:
    values = np.random.default_rng(0).normal(size=(100, 3))

    first, same, other = (bootstrap(values, 200, seed) for seed in (5, 5, 6))

    np.testing.assert_array_equal(first, same)
    assert (np.array(first) != np.array(other)).all()


def test_little_memory_changes_nothing_in_the_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).normal(size=(50, 2))
    whole = bootstrap(values, 300, seed=0)

    monkeypatch.setattr(intervals, "_DRAWS_BYTES", 8 * 50 * 7)

    np.testing.assert_allclose(bootstrap(values, 300, seed=0), whole, rtol=1e-5)


def test_shoppers_without_a_value_do_not_count() -> None:
    random = np.random.default_rng(0)
    values = random.normal(1, 1, size=(3000, 2))
    values[::2, 1] = np.nan

    low, high = bootstrap(values, 1000, seed=0)

    assert (high - low)[1] == pytest.approx((high - low)[0] * math.sqrt(2), rel=0.1)
    empty = bootstrap(np.full([10, 1], np.nan), 100, seed=0)
    assert np.isnan(empty).all()


def test_comparison_is_paired() -> None:
    """What all shoppers share falls out, so that a small difference shows."""
    random = np.random.default_rng(0)
    shared = random.normal(0, 10, size=(500, 1))
    first = shared + random.normal(0.2, 0.5, size=(500, 1))

    found = compare(first, shared, 1000, seed=0)

    assert found.difference == pytest.approx((first - shared).mean())
    assert 0 < found.low[0] < found.difference[0] < found.high[0]
    assert found.p_value[0] == pytest.approx(1 / 1001)


def test_p_value_equals_that_of_all_swaps() -> None:
    differences = np.array([0.5, 0.4, -0.1, 0.3, 0.0, 0.2, -0.2, 0.6])
    total = abs(differences.sum())
    swaps = itertools.product([-1, 1], repeat=len(differences))
    exact = np.mean([abs(np.dot(signs, differences)) >= total - 1e-9 for signs in swaps])

    found = compare(differences[:, None] + 1, np.ones([8, 1]), 20_000, seed=0)

    assert found.p_value[0] == pytest.approx(exact, abs=0.01)


def test_p_values_of_rankers_that_are_alike_are_uniform() -> None:
    random = np.random.default_rng(0)
    first, second = random.normal(size=(2, 100, 500))

    found = compare(first, second, 500, seed=0)

    for share in (0.05, 0.2, 0.5):
        assert (found.p_value <= share).mean() == pytest.approx(share, abs=0.06)


def test_a_ranker_beside_itself_does_not_differ() -> None:
    values = np.random.default_rng(0).normal(size=(40, 2))

    found = compare(values, values, 100, seed=0)

    assert found.difference.tolist() == found.low.tolist() == found.high.tolist() == [0, 0]
    assert found.p_value.tolist() == [1, 1]


def test_values_of_other_shoppers_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match=r"\(3, 1\) beside \(4, 1\): other shoppers"):
        compare(np.zeros([3, 1]), np.zeros([4, 1]), 100, seed=0)
