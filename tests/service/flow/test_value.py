import numpy as np
from flow_states import make_state

from tfrec.service.flow.expression import Expression
from tfrec.service.flow.shop import Shop
from tfrec.service.flow.value import ValueStep

TASKS = {"click": np.array([0.1, 0.3, 0.2]), "sale": np.array([0.3, 0.1, np.nan])}


def ordered(step: ValueStep, state: object) -> list[int]:
    return step(state).candidates.rows.tolist()  # type: ignore[arg-type]


def test_the_first_task_orders_by_default(toy_shop: Shop) -> None:
    state = make_state([4, 5, 6], columns=TASKS).having(tasks=("click", "sale"))

    assert ordered(ValueStep(toy_shop, None, {}), state) == [5, 6, 4]
    assert ordered(ValueStep(toy_shop, None, {"sale": 2.0, "other": 1.0}), state) == [4, 5, 6]


def test_an_expression_takes_tasks_scores_and_numbers(toy_shop: Shop) -> None:
    state = make_state([4, 5, 6], [3, 1, 2], columns=TASKS).having(tasks=("click", "sale"))

    # Margins of rows 4, 5, 6 are 0, 0.1 and 0.2.
    assert ordered(ValueStep(toy_shop, Expression("margin"), {}), state) == [6, 5, 4]
    assert ordered(ValueStep(toy_shop, Expression("score"), {}), state) == [4, 6, 5]
    assert ordered(ValueStep(toy_shop, Expression("sale - click"), {}), state) == [4, 5, 6]


def test_what_is_not_known_counts_as_nothing(toy_shop: Shop) -> None:
    state = make_state([5, 6, 7])  # the weight of 6 is not known

    assert ordered(ValueStep(toy_shop, Expression("6.5 - weight"), {}), state) == [6, 5, 7]
    assert ordered(ValueStep(toy_shop, Expression("uplift"), {}), state) == [5, 6, 7]


def test_without_the_tasks_the_order_stays(toy_shop: Shop) -> None:
    state = make_state([4, 5, 6])

    assert ordered(ValueStep(toy_shop, Expression("click * price"), {}), state) == [4, 5, 6]
    assert ordered(ValueStep(toy_shop, None, {"click": 1.0}), state) == [4, 5, 6]
