"""Which offers to give to whom, when there is money for some of them only."""

from dataclasses import dataclass

import numpy as np

_STEPS = 60


@dataclass(frozen=True)
class Allocation:
    """Offers given to shoppers, and how far that can be from the best way.

    Attributes:
      chosen: `[shoppers, offers]` bool.
      value: of all that is chosen.
      cost: of the same; at most the budget.
      bound: a value that no allocation within the budget exceeds.
      price: the value that one more unit of the budget would buy, about.
    """

    chosen: np.ndarray
    value: float
    cost: float
    bound: float
    price: float

    @property
    def regret(self) -> float:
        """The most that a better allocation could be worth beyond this one."""
        return max(self.bound - self.value, 0.0)


def allocate(values: np.ndarray, costs: np.ndarray, budget: float, most: int) -> Allocation:
    """Gives each shopper at most so many offers, for the highest value that a budget can buy.

        maximise sum x v   where sum x c <= budget, each shopper's sum of x <= most, x is 0 or 1

    A price on the budget takes the shoppers apart: at price `p`, each gets the `most` offers with
    the highest `v - p c`, where that is above 0. What they get costs less as `p` rises, so the
    lowest price within the budget is found by bisection. Then shoppers get what they would at the
    price just below, those with most value for their money first, and last what else fits. The
    bound is the Lagrangian dual's, which is that of the problem without whole numbers.

    Args:
      values: `[shoppers, offers]` what an offer is worth; those not above 0 are not given.
      costs: what giving it costs, 0 or more, in any shape that broadcasts to that of the values.
      budget: what all may cost together, 0 or more and finite.
      most: offers a shopper gets at most, 0 or more.

    Raises:
      ValueError: if a number is not finite or is negative where it may not be.

    Source: Fisher, The Lagrangian relaxation method for solving integer programming problems,
    Management Science 1981.
    """
    costs = np.broadcast_to(costs, values.shape)
    _check(values, costs, budget, most)
    if not most:
        values = np.zeros(values.shape)
    allowed = max(min(most, values.shape[1]), 1)
    low, high = 0.0, _highest_price(values, costs)
    chosen, bound = _choose(values, costs, low, allowed, budget)
    if _sum(costs, chosen) <= budget:
        return _made(chosen, values, costs, bound, price=0.0)
    above, bound = _choose(values, costs, high, allowed, budget)
    for _ in range(_STEPS):
        middle = (low + high) / 2
        found, dual = _choose(values, costs, middle, allowed, budget)
        bound = min(bound, dual)
        if _sum(costs, found) > budget:
            low, chosen = middle, found
        else:
            high, above = middle, found
    mixed = _mix(above, chosen, values, costs, budget)
    _fill(mixed, values, costs, budget, allowed)
    return _made(mixed, values, costs, bound, high)


def _choose(
    values: np.ndarray, costs: np.ndarray, price: float, most: int, budget: float
) -> tuple[np.ndarray, float]:
    """What shoppers get at a price, and the dual's value there."""
    worth = values - price * costs
    chosen = worth > 0
    crowded = np.flatnonzero(chosen.sum(axis=1) > most)
    if len(crowded):
        best = np.argpartition(worth[crowded], -most, axis=1)[:, -most:]
        kept = np.zeros((len(crowded), values.shape[1]), bool)
        np.put_along_axis(kept, best, True, axis=1)
        chosen[crowded] = kept
    return chosen, _sum(worth, chosen) + price * budget


def _highest_price(values: np.ndarray, costs: np.ndarray) -> float:
    """A price at which only what costs nothing is chosen."""
    paid = (costs > 0) & (values > 0)
    return float((values[paid] / costs[paid]).max(initial=0.0))


def _mix(
    within: np.ndarray, beyond: np.ndarray, values: np.ndarray, costs: np.ndarray, budget: float
) -> np.ndarray:
    """Moves shoppers to a dearer choice while that fits, those with most value for it first."""
    dearer = np.where(beyond, costs, 0).sum(axis=1) - np.where(within, costs, 0).sum(axis=1)
    better = np.where(beyond, values, 0).sum(axis=1) - np.where(within, values, 0).sum(axis=1)
    moved = np.flatnonzero((better > 0) & (dearer > 0))
    moved = moved[np.argsort(-better[moved] / dearer[moved], kind="stable")]
    fits = _fitting(dearer[moved], budget - _sum(costs, within))
    mixed = within.copy()
    mixed[moved[fits]] = beyond[moved[fits]]
    return mixed


def _fill(
    chosen: np.ndarray, values: np.ndarray, costs: np.ndarray, budget: float, most: int
) -> None:
    """Spends what is left on further offers, in place."""
    room = most - chosen.sum(axis=1)
    left = budget - _sum(costs, chosen)
    can = (values > 0) & ~chosen & (costs <= left) & (room > 0)[:, None]
    shoppers, offers = np.nonzero(can)
    paid, gained = costs[shoppers, offers], values[shoppers, offers]
    with np.errstate(divide="ignore"):
        order = np.argsort(-gained / paid, kind="stable")
    for shopper, offer, cost in zip(shoppers[order], offers[order], paid[order], strict=True):
        if cost <= left and room[shopper] > 0:
            chosen[shopper, offer] = True
            left, room[shopper] = left - cost, room[shopper] - 1


def _fitting(costs: np.ndarray, left: float) -> list[int]:
    """Places of costs that, taken in turn, fit into what is left."""
    places = []
    for place, cost in enumerate(costs):
        if cost <= left:
            places.append(place)
            left -= cost
    return places


def _made(
    chosen: np.ndarray, values: np.ndarray, costs: np.ndarray, bound: float, price: float
) -> Allocation:
    return Allocation(chosen, _sum(values, chosen), _sum(costs, chosen), bound, price)


def _sum(of: np.ndarray, chosen: np.ndarray) -> float:
    return float(of[chosen].sum())


def _check(values: np.ndarray, costs: np.ndarray, budget: float, most: int) -> None:
    if not np.isfinite(values).all():
        raise ValueError("values must be finite numbers")
    if not (np.isfinite(costs).all() and (costs >= 0).all()):
        raise ValueError("costs must be finite numbers, 0 or more")
    if not 0 <= budget < np.inf:
        raise ValueError(f"budget {budget} is no finite number, 0 or more")
    if most < 0:
        raise ValueError(f"most {most} is not 0 or more")
