import numpy as np
import pytest
from flow_states import make_state
from gateway_shop import GAP, shop_events

from tfrec.data.interactions import Interactions
from tfrec.service.flow.neighbours import bought_together
from tfrec.service.flow.shop import Shop
from tfrec.service.flow.sources import (
    Alike,
    ItemToItem,
    NewItems,
    OwnHistory,
    Popular,
    PopularInCategory,
)


def test_pairs_are_weighted_by_the_sessions_that_hold_both() -> None:
    # Sessions {0, 1}, {0, 1}, {0, 1, 2}, {0, 3}, and {1, 2} after a silence.
    users = np.array([0, 0, 1, 1, 2, 2, 2, 3, 3, 3, 3])
    items = np.array([0, 1, 0, 1, 0, 1, 2, 0, 3, 1, 2])
    times = np.array([0, 1, 0, 1, 0, 1, 2, 0, 1, 500, 501])
    events = Interactions(users, items, np.ones(11, np.float32), times, 4, 5)

    found = bought_together(events, gap=100)

    rows, weights = found.of(0)
    assert rows.tolist() == [1]  # 0 and 3 came together once only
    assert weights[0] == pytest.approx(3 / np.sqrt(4 * 4) * 3 / (3 + 5))
    rows, weights = found.of(1)
    assert rows.tolist() == [0, 2]
    assert weights[1] == pytest.approx(2 / np.sqrt(4 * 2) * 2 / (2 + 5))
    assert found.of(4)[0].tolist() == []


def test_only_so_many_neighbours_are_kept_the_best_first() -> None:
    few = bought_together(shop_events(), GAP, most=1)
    many = bought_together(shop_events(), GAP)

    for row in range(40):
        assert few.of(row)[0].tolist() == many.of(row)[0][:1].tolist()
        assert (np.diff(many.of(row)[1]) <= 0).all()


def test_item_to_item_starts_from_what_is_asked_or_else_from_the_history(toy_shop: Shop) -> None:
    source = ItemToItem(toy_shop)

    asked = source.find(make_state(asked=[0], history=[2]), 5)
    own = source.find(make_state(history=[0, 2]), 5)

    assert asked.rows[0] == 1
    assert asked.subjects is not None
    assert set(asked.subjects) == {0}
    assert own.rows[0] == 3  # of the newest item
    assert 1 in own.rows
    assert len(source.find(make_state(), 5).rows) == 0


def test_alike_is_of_the_same_category_and_never_the_item(toy_shop: Shop) -> None:
    found = Alike(toy_shop).find(make_state(asked=[7]), 5)

    assert len(found.rows) == 5
    assert set(found.rows % 5) == {2}
    assert 7 not in found.rows


def test_own_history_counts_and_prefers_what_is_late(toy_shop: Shop) -> None:
    found = OwnHistory(toy_shop).find(make_state(history=[4, 4, 9, 2, 3]), 3)

    assert found.rows.tolist() == [4, 3, 2]


def test_popular_goes_on_until_enough_pass(toy_shop: Shop) -> None:
    state = make_state(filters={"only": {"brand": ["Best"]}}, exclude=["item-01"])

    found = Popular(toy_shop).find(state, 2)

    expected = [row for row in toy_shop.by_popularity if row % 3 == 1 and row != 1][:2]
    assert found.rows.tolist() == expected


def test_popular_in_category_takes_turns_among_the_shoppers_categories(toy_shop: Shop) -> None:
    found = PopularInCategory(toy_shop).find(make_state(history=[0, 5, 1]), 4)

    assert [row % 5 for row in found.rows] == [0, 1, 0, 1]


def test_new_items_are_drawn_by_the_requests_id(toy_shop: Shop) -> None:
    source, state = NewItems(toy_shop), make_state()
    drawn = [source.find(state.having(request_id=str(n)), 3).rows.tolist() for n in range(20)]

    assert source.find(state.having(request_id="0"), 3).rows.tolist() == drawn[0]
    assert len({tuple(one) for one in drawn}) > 1
    assert all(toy_shop.is_new[one].all() for one in drawn)
