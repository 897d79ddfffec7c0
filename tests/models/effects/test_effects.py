"""Effects that are known, found in logs of treatment by lot and by a reason."""

from collections.abc import Iterator
from contextlib import nullcontext

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from tfrec.errors import UserError
from tfrec.models.effects import (
    LEARNERS,
    Nuisance,
    Observations,
    Trees,
    cross_fit,
    doubly_robust,
    imbalance,
)

TREES = Trees(trees=40)
ROWS = 6_000


def draw(seed: int, chosen: bool, rows: int = ROWS) -> tuple[Observations, np.ndarray, np.ndarray]:
    """Rows, each one's true effect, and its true propensity.

    The effect is 0 to 2, by the first feature. By choice, those with a large second feature are
    treated more, who have a higher outcome in any case.
    """
    random = np.random.default_rng(seed)
    features = random.uniform(0, 1, (rows, 3))
    effects = 2 * features[:, 0]
    chances = 0.15 + 0.7 * features[:, 1] if chosen else np.full(rows, 0.5)
    treated = random.random(rows) < chances
    outcomes = 5 * features[:, 1] + effects * treated + random.normal(0, 1, rows)
    shoppers = random.integers(0, rows // 2, rows)
    none = np.zeros(rows, np.int64)
    return Observations(features, treated, outcomes, shoppers, none), effects, chances


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Threads that share busy cores wait for each other."""
    with threadpool_limits(1, user_api="openmp"):
        yield


@pytest.fixture(scope="module")
def by_choice() -> tuple[Observations, np.ndarray, Nuisance]:
    rows, effects, _ = draw(0, chosen=True)
    return rows, effects, cross_fit(rows, TREES, folds=2, seed=0)


@pytest.mark.parametrize("chosen", [False, True])
@pytest.mark.parametrize("name", LEARNERS)
def test_learners_find_whom_the_treatment_changes_most(name: str, chosen: bool) -> None:
    rows, _, chances = draw(1, chosen)
    nuisance = cross_fit(rows, TREES, 2, seed=0, propensity=None if chosen else chances)
    asked, truth, _ = draw(2, chosen)

    found = LEARNERS[name](TREES).fit(rows, nuisance).predict(asked.features)

    # T-learners add the noise of two models.
    assert np.corrcoef(found, truth)[0, 1] > (0.75 if name == "t" else 0.95)
    assert found.mean() == pytest.approx(1, abs=0.15)


def test_mean_of_the_values_is_the_effect_where_the_plain_difference_is_not(
    by_choice: tuple[Observations, np.ndarray, Nuisance],
) -> None:
    rows, effects, nuisance = by_choice

    plain = rows.outcomes[rows.treated].mean() - rows.outcomes[~rows.treated].mean()
    values = doubly_robust(rows, nuisance)

    assert plain > effects.mean() + 0.8
    assert values.mean() == pytest.approx(effects.mean(), abs=0.12)
    some = rows.features[:, 0] > 0.8
    assert values[some].mean() == pytest.approx(effects[some].mean(), abs=0.25)


@pytest.mark.parametrize("wrong", ["outcomes", "propensity"])
def test_either_model_may_be_wrong(
    wrong: str, by_choice: tuple[Observations, np.ndarray, Nuisance]
) -> None:
    rows, effects, chances = draw(0, chosen=True)
    nothing = np.zeros(ROWS)
    right = by_choice[2]
    nuisance = (
        Nuisance(chances, nothing, nothing)
        if wrong == "outcomes"
        else Nuisance(np.full(ROWS, 0.5), right.treated, right.control)
    )

    assert doubly_robust(rows, nuisance).mean() == pytest.approx(effects.mean(), abs=0.2)


def test_values_are_those_of_the_formula() -> None:
    rows = Observations(
        np.zeros((2, 1)), np.array([True, False]), np.array([4.0, 1.0]), np.arange(2), np.zeros(2)
    )
    nuisance = Nuisance(np.array([0.25, 0.2]), np.array([3.0, 5.0]), np.array([2.0, 3.0]))

    values = doubly_robust(rows, nuisance)

    np.testing.assert_allclose(values, [1 + (4 - 3) / 0.25, 2 - (1 - 3) / 0.8])


def test_propensity_is_found_by_treatment() -> None:
    rows, _, _ = draw(3, chosen=False)
    random = np.random.default_rng(3)
    treatments = random.integers(0, 2, ROWS)
    treated = random.random(ROWS) < np.array([0.1, 0.6])[treatments]
    rows = Observations(rows.features, treated, rows.outcomes, rows.shoppers, treatments)

    found = cross_fit(rows, Trees(), 2, seed=0).propensity

    assert found[treatments == 0].mean() == pytest.approx(0.1, abs=0.03)
    assert found[treatments == 1].mean() == pytest.approx(0.6, abs=0.03)


def test_no_shopper_is_predicted_by_a_model_that_has_seen_them() -> None:
    rows, _, chances = draw(4, chosen=False, rows=400)
    changed = rows.outcomes.copy()
    shopper = rows.shoppers == rows.shoppers[0]
    changed[shopper] += 1_000
    other = Observations(rows.features, rows.treated, changed, rows.shoppers, rows.treatments)

    first, second = (cross_fit(one, TREES, 2, 0, chances) for one in (rows, other))

    for name in ("treated", "control"):
        before, after = getattr(first, name), getattr(second, name)
        np.testing.assert_array_equal(before[shopper], after[shopper])
    assert not np.array_equal(first.treated, second.treated)


def test_overlap_is_where_both_arms_are_likely() -> None:
    nuisance = Nuisance(np.array([0.04, 0.05, 0.5, 0.95, 0.96]), np.zeros(5), np.zeros(5))

    np.testing.assert_array_equal(nuisance.overlap(0.05), [False, True, True, True, False])


@pytest.mark.parametrize("treated", [True, False])
def test_one_arm_alone_is_refused(treated: bool) -> None:
    rows, _, _ = draw(5, chosen=False, rows=50)
    alone = rows.only(rows.treated == treated)

    with pytest.raises(UserError, match="needs shoppers of both arms"):
        cross_fit(alone, TREES, 2, seed=0)


@pytest.mark.parametrize(("treatments", "taken"), [(255, True), (256, False)])
def test_treatments_are_limited_only_where_their_propensities_are_learned(
    treatments: int, taken: bool
) -> None:
    rows, _, chances = draw(7, chosen=False, rows=1_024)
    numbers = np.arange(len(rows)) % treatments
    rows = Observations(rows.features, rows.treated, rows.outcomes, rows.shoppers, numbers)
    few = Trees(trees=1)

    cross_fit(rows, few, 2, 0, chances)
    with nullcontext() if taken else pytest.raises(UserError, match=r"256 treatments.* most 255"):
        cross_fit(rows, few, 2, 0)


def test_weights_make_arms_alike_that_were_chosen() -> None:
    rows, _, chances = draw(6, chosen=True)

    plain, weighted = imbalance(rows), imbalance(rows, chances)

    treated, others = rows.features[rows.treated], rows.features[~rows.treated]
    spread = np.sqrt((treated.var(axis=0) + others.var(axis=0)) / 2)
    apart = np.abs(treated.mean(axis=0) - others.mean(axis=0)) / spread
    np.testing.assert_allclose(plain, apart)
    assert plain[1] > 0.5
    assert weighted.max() < 0.1


def test_unknown_and_constant_values_are_no_imbalance() -> None:
    rows, _, _ = draw(7, chosen=False, rows=200)
    rows.features[:, 0] = np.nan
    rows.features[:, 1] = 3
    rows.features[::2, 2] = np.nan

    apart = imbalance(rows)

    np.testing.assert_array_equal(apart[:2], 0)
    assert 0 < apart[2] < 0.5
