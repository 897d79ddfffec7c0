from collections.abc import Mapping
from typing import Any

import pytest
from flow_states import make_state

from tfrec.config import validate
from tfrec.service.flow.config import RerankConfig
from tfrec.service.flow.plan import KINDS
from tfrec.service.flow.rerank import Rerank
from tfrec.service.flow.shop import Shop
from tfrec.service.flow.state import State


def reranked(shop: Shop, state: State, rules: Mapping[str, Any]) -> list[int]:
    return Rerank(shop, validate(RerankConfig, rules))(state).candidates.rows.tolist()


def test_without_rules_the_order_stays(toy_shop: Shop) -> None:
    assert reranked(toy_shop, make_state([5, 0, 10]), {}) == [5, 0, 10]


# Rows that are equal modulo 5 are of one aisle.


def test_one_aisle_has_at_most_so_many_places(toy_shop: Shop) -> None:
    state = make_state([5, 0, 10, 1, 6, 2])

    assert reranked(toy_shop, state, {"caps": {"aisle": 1}}) == [5, 1, 2]
    assert reranked(toy_shop, state, {"caps": {"aisle": 2}}) == [5, 0, 1, 6, 2]


def test_caps_of_several_categories_hold_together(toy_shop: Shop) -> None:
    # Brands are those of the row modulo 3.
    state = make_state([0, 3, 5, 6, 1, 2])

    assert reranked(toy_shop, state, {"caps": {"aisle": 1, "brand": 1}}) == [0, 1, 2]


@pytest.mark.parametrize(
    ("strength", "order"),
    [(0, [5, 0, 10, 1, 2]), (1, [5, 1, 2, 0, 10]), (0.3, [5, 1, 0, 2, 10])],
)
def test_categories_are_spread_by_strength(
    toy_shop: Shop, strength: float, order: list[int]
) -> None:
    state = make_state([5, 0, 10, 1, 2])
    rules = {"diversity": {"feature": "aisle", "strength": strength}}

    found = reranked(toy_shop, state, rules)

    assert sorted(found) == sorted(order)
    if strength != 0.3:
        assert found == order
    else:
        assert found[:2] == [5, 1]


def test_what_is_behind_the_pool_keeps_its_order(toy_shop: Shop) -> None:
    state = make_state([5, 0, 1, 10, 15, 2], k=2)
    rules = {"diversity": {"feature": "aisle", "strength": 1, "pool": 3}}

    assert reranked(toy_shop, state, rules) == [5, 1, 0, 10, 15, 2]


def test_pins_have_their_places_whether_found_or_not(toy_shop: Shop) -> None:
    state = make_state([5, 0, 10, 1])
    rules = {"pins": {1: "item-01", 3: "item-30"}}

    made = Rerank(toy_shop, validate(RerankConfig, rules))(state)

    assert made.candidates.rows.tolist() == [1, 5, 30, 0, 10]
    assert KINDS[made.candidates.sources[2]] == "pinned"


@pytest.mark.parametrize(
    ("found", "made"),
    [
        ([3, 30, 5, 0], [5, 30, 0, 3]),
        ([30, 3, 5, 0], [5, 30, 0, 3]),
        ([5, 0, 10, 3], [5, 30, 0, 3, 10]),
        ([3, 5], [5, 30, 3]),
        ([3], [3]),
    ],
)
def test_a_pin_that_stood_before_another_one_shifts_none(
    toy_shop: Shop, found: list[int], made: list[int]
) -> None:
    rules = {"pins": {2: "item-30", 4: "item-03"}}

    assert reranked(toy_shop, make_state(found), rules) == made


def test_a_pin_does_not_show_what_may_not_be_shown(toy_shop: Shop) -> None:
    state = make_state([5, 0, 10, 1], hidden=[1], exclude=["item-02"])
    rules = {"pins": {1: "item-01", 2: "item-02", 3: "item-08"}}  # of which there are none left

    assert reranked(toy_shop, state, rules) == [5, 0, 10, 1]
