import asyncio

import numpy as np
import pytest
from flow_states import make_state

from tfrec.errors import UserError
from tfrec.service.api import Filters
from tfrec.service.flow.filters import Filter, check_filters, passing
from tfrec.service.flow.shop import Shop
from tfrec.service.flow.state import Found, State

ALL = np.arange(40)


class Stands:
    """Finds some rows when it is asked."""

    def __init__(self, *rows: int) -> None:
        self.rows = np.array(rows, np.int64)

    async def stand_in(self, state: State) -> State:
        return state.having(found={**state.found, "popular": Found(self.rows)})


def passed(shop: Shop, state: State) -> list[int]:
    return ALL[passing(state, shop, ALL)[0]].tolist()


def test_each_condition_takes_out_what_it_names(toy_shop: Shop) -> None:
    every = set(ALL) - {8}  # which is out of stock
    for request, gone in (
        ({}, set()),
        ({"filters": {"in_stock": False}}, {-8}),
        ({"exclude": ["item-03", "nothing"]}, {3}),
        ({"filters": {"flags": ["nuts"]}}, {5}),
        ({"filters": {"without": {"aisle": ["aisle-1", "x"]}}}, {n for n in ALL if n % 5 == 1}),
        ({"filters": {"only": {"tags": ["fresh", "x"]}}}, {n for n in ALL if n % 4}),
        ({"filters": {"without": {"tags": ["local"]}}}, {n for n in ALL if n % 4 == 0}),
        ({"filters": {"most": {"weight": 20}}}, {n for n in ALL if n > 20 or n % 7 == 6}),
        ({"filters": {"least": {"price": 2}}}, {0, 1, 2, 3}),
    ):  # fmt: skip
        wanted = (every | {8} if -8 in gone else every) - gone
        assert set(passed(toy_shop, make_state(**request))) == wanted, request


def test_what_the_shopper_hid_or_asks_about_is_out(toy_shop: Shop) -> None:
    left = passed(toy_shop, make_state(hidden=[1], asked=[2], history=[3]))

    assert not {1, 2} & set(left)
    assert 3 in left


def test_what_was_bought_is_out_where_the_shelf_says_so(toy_shop: Shop) -> None:
    state = make_state(history=[3, 4], scenario_={"bought": "leave_out"})

    assert not {3, 4} & set(passed(toy_shop, state))


def test_the_filter_that_leaves_nothing_is_named(toy_shop: Shop) -> None:
    state = make_state(filters={"only": {"aisle": ["aisle-1"]}, "most": {"price": 0.5}})

    kept, emptied_by = passing(state, toy_shop, ALL)

    assert (kept.any(), emptied_by) == (False, "most: price")


def test_stand_ins_come_behind_what_is_left(toy_shop: Shop) -> None:
    state = make_state([1, 8, 3], k=4)

    made = asyncio.run(Filter(toy_shop, Stands(3, 20, 8, 21))(state))

    assert made.candidates.rows.tolist() == [1, 3, 20, 21]
    assert (np.diff(made.candidates.scores) < 0).all()


def test_a_shelf_that_is_not_to_be_filled_stays_short(toy_shop: Shop) -> None:
    short = make_state([1], k=4, scenario_={"fill": False})

    step = Filter(toy_shop, Stands(20))

    assert asyncio.run(step(short)).candidates.rows.tolist() == [1]
    failed = asyncio.run(step(short.without("store", "cold start")))
    assert failed.candidates.rows.tolist() == [1, 20]


def test_unknown_names_are_refused_with_those_that_are_known(toy_shop: Shop) -> None:
    check_filters(Filters(only={"tags": ("x",)}, most={"margin": 1}), toy_shop)
    with pytest.raises(UserError, match=r"filters\.most: 'size' is no feature .* known: weight"):
        check_filters(Filters(most={"size": 1}), toy_shop)
