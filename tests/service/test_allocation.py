from itertools import product

import numpy as np
import pytest
from scipy.optimize import LinearConstraint, linprog, milp
from scipy.sparse import csr_matrix, eye, kron

from tfrec.service.allocation import allocate


def problem(seed: int, shoppers: int, offers: int) -> tuple[np.ndarray, np.ndarray]:
    """Values, some below 0, and costs, some of them 0."""
    random = np.random.default_rng(seed)
    values = random.normal(1, 2, (shoppers, offers))
    costs = random.choice([0, 0.5, 1, 3, 7.3], (shoppers, offers))
    return values, costs


def constraints(costs: np.ndarray) -> csr_matrix:
    """The budget's row, then a row for each shopper."""
    shoppers, offers = costs.shape
    by_shopper = kron(eye(shoppers), np.ones((1, offers)))
    return csr_matrix(np.vstack([costs.reshape(1, -1), by_shopper.toarray()]))


def best(values: np.ndarray, costs: np.ndarray, budget: float, most: int) -> float:
    limits = np.r_[budget, np.full(len(values), most)]
    found = milp(
        -values.ravel(),
        integrality=np.ones(values.size),
        bounds=(0, 1),
        constraints=LinearConstraint(constraints(costs), -np.inf, limits),
        options={"mip_rel_gap": 0},
    )
    return -found.fun


def best_of_parts(values: np.ndarray, costs: np.ndarray, budget: float, most: int) -> float:
    """The best value if offers could be given in parts."""
    limits = np.r_[budget, np.full(len(values), most)]
    return -linprog(-values.ravel(), constraints(costs), limits, bounds=(0, 1)).fun


@pytest.mark.parametrize(("seed", "most"), product(range(6), [1, 2, 5]))
def test_value_is_within_its_regret_of_the_best(seed: int, most: int) -> None:
    values, costs = problem(seed, shoppers=30, offers=6)
    budget = float(np.random.default_rng(seed).uniform(5, 90))

    found = allocate(values, costs, budget, most)

    optimum = best(values, costs, budget, most)
    assert found.value <= optimum + 1e-6 <= found.bound + 2e-6
    assert optimum - found.value <= found.regret + 1e-6
    # Of one shopper at most is it unsure what is best.
    assert found.regret <= np.sort(values, axis=1)[:, -most:].clip(0).sum(axis=1).max()
    assert found.bound == pytest.approx(best_of_parts(values, costs, budget, most), rel=1e-6)


@pytest.mark.parametrize("seed", range(6))
def test_limits_are_kept_and_the_figures_are_those_of_the_choice(seed: int) -> None:
    values, costs = problem(seed, shoppers=200, offers=15)

    found = allocate(values, costs, budget=100, most=2)

    assert found.chosen.sum(axis=1).max() <= 2
    assert found.cost == pytest.approx(costs[found.chosen].sum())
    assert found.cost <= 100
    assert found.value == pytest.approx(values[found.chosen].sum())
    assert (values[found.chosen] > 0).all()
    assert found.regret < 0.02 * found.value


def test_budget_of_everything_gives_everyone_the_best() -> None:
    values, costs = problem(0, shoppers=50, offers=5)

    found = allocate(values, costs, budget=1e6, most=1)

    best_offers = values.max(axis=1)
    assert found.value == pytest.approx(best_offers[best_offers > 0].sum())
    assert found.regret == pytest.approx(0)
    assert found.price == 0


def test_nothing_is_bought_without_money_but_gifts_are_given() -> None:
    values = np.array([[5.0, 1.0], [4.0, 2.0]])
    costs = np.array([1.0, 0.0])

    found = allocate(values, costs, budget=0, most=1)

    np.testing.assert_array_equal(found.chosen, [[False, True], [False, True]])
    assert found.cost == 0


def test_equal_shoppers_share_what_the_budget_buys() -> None:
    found = allocate(np.ones((100, 3)), np.ones(3), budget=37, most=2)

    assert found.value == 37
    assert found.regret == pytest.approx(0)


def test_budget_in_coupons_is_a_cost_of_one_each() -> None:
    values = np.array([[3.0, 2.0], [9.0, -1.0], [1.0, 4.0]])

    found = allocate(values, np.ones(1), budget=2, most=2)

    np.testing.assert_array_equal(found.chosen, [[0, 0], [1, 0], [0, 1]])


@pytest.mark.parametrize("shape", [(0, 3), (3, 0)])
def test_nobody_or_nothing_is_an_empty_allocation(shape: tuple[int, int]) -> None:
    found = allocate(np.ones(shape), np.ones(1), budget=1, most=1)

    assert found.chosen.shape == shape
    assert found.value == found.regret == 0


def test_no_offers_each_is_none() -> None:
    assert not allocate(np.ones((2, 2)), np.ones(1), budget=1, most=0).chosen.any()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"values": np.array([[np.nan]])}, "values"),
        ({"costs": np.array([-1.0])}, "costs"),
        ({"budget": -1.0}, "budget"),
        ({"budget": np.nan}, "budget"),
        ({"budget": np.inf}, "budget"),
        ({"most": -1}, "most"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(changes: dict, message: str) -> None:
    asked = {"values": np.ones((1, 1)), "costs": np.ones(1), "budget": 1.0, "most": 1}

    with pytest.raises(ValueError, match=message):
        allocate(**{**asked, **changes})
