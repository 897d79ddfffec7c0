from collections.abc import Callable

import numpy as np
import pytest

from tfrec.data.query_set import QuerySet
from tfrec.errors import UserError
from tfrec.evaluation.config import SliceConfig
from tfrec.evaluation.slices import make_slices, slice_columns

Make = Callable[..., QuerySet]


def shoppers_of(queries: QuerySet, **fields: object) -> dict[str, list[int]]:
    """Slice -> its shoppers' places."""
    slices = make_slices([SliceConfig(**fields)], queries, np.ones(3, int))
    return {part.name: np.flatnonzero(part.shoppers).tolist() for part in slices}


def test_each_value_of_a_feature_is_a_slice_the_most_frequent_first(make_queries: Make) -> None:
    channel = ["app", "web", None, "web", "web", "app"]
    queries = make_queries(relevant=[[0]] * 6, seen=[[]] * 6, channel=channel)

    assert shoppers_of(queries, feature="channel") == {
        "channel=web": [1, 3, 4],
        "channel=app": [0, 5],
        "channel=missing": [2],
    }


def test_quantiles_of_a_feature_have_about_as_many_shoppers_each(make_queries: Make) -> None:
    random = np.random.default_rng(0)
    price = random.permutation(np.arange(100.0)).tolist()
    price[:4] = [None, None, float("nan"), 0.5]
    queries = make_queries(relevant=[[0]] * 100, seen=[[]] * 100, price=price)

    slices = shoppers_of(queries, feature="price", quantiles=4)

    *ranges, missing = slices.items()
    assert missing == ("price=missing", [0, 1, 2])
    assert [len(shoppers) for _, shoppers in ranges] == pytest.approx([24] * 4, abs=1)
    for name, shoppers in ranges:
        low, high = map(float, name.removeprefix("price in ").strip("[]()").split(","))
        values = [price[shopper] for shopper in shoppers]
        assert low <= min(values)
        assert max(values) == high
    assert sorted(place for _, shoppers in ranges for place in shoppers) == list(range(3, 100))


def test_quantiles_of_few_values_are_fewer_slices(make_queries: Make) -> None:
    size = [1, 1, 1, 1, 2, 3]
    queries = make_queries(relevant=[[0]] * 6, seen=[[]] * 6, size=size, same=[7] * 6)

    assert shoppers_of(queries, feature="size", quantiles=3) == {
        "size in [1, 1]": [0, 1, 2, 3],
        "size in (1, 3]": [4, 5],
    }
    assert shoppers_of(queries, feature="same", quantiles=4) == {"same in [7, 7]": list(range(6))}


def test_cold_shoppers_have_few_events_before(make_queries: Make) -> None:
    queries = make_queries(relevant=[[0]] * 4, seen=[[1, 1, 1], [], [2], [0, 1]])

    assert shoppers_of(queries, cold_users=2) == {"cold_users<2": [1, 2]}


def test_cold_items_have_few_training_events(make_queries: Make) -> None:
    queries = make_queries(relevant=[[0]], seen=[[]])

    (part,) = make_slices([SliceConfig(cold_items=5)], queries, np.array([9, 0, 5, 4]))

    assert (part.name, part.shoppers) == ("cold_items<5", None)
    assert part.items.tolist() == [False, True, False, True]


def test_unknown_feature_is_refused_with_the_known_ones(make_queries: Make) -> None:
    queries = make_queries(relevant=[[0]], seen=[[]], channel=["app"], price=[1.0])

    with pytest.raises(UserError, match=r"'chanel' is no raw feature .*; known: channel, price"):
        shoppers_of(queries, feature="chanel")


@pytest.mark.parametrize(
    ("values", "quantiles", "message"),
    [
        (["app", "web"], 2, "channel holds string, which has no quantiles"),
        ([["app"], []], None, "channel holds lists"),
    ],
)
def test_feature_that_cannot_be_cut_is_refused(
    make_queries: Make, values: list, quantiles: int | None, message: str
) -> None:
    queries = make_queries(relevant=[[0]] * 2, seen=[[]] * 2, channel=values)

    with pytest.raises(UserError, match=message):
        shoppers_of(queries, feature="channel", quantiles=quantiles)


def test_feature_of_very_many_values_is_refused(make_queries: Make) -> None:
    names = [f"name-{number}" for number in range(101)]
    queries = make_queries(relevant=[[0]] * 101, seen=[[]] * 101, name=names)

    with pytest.raises(UserError, match="name has 101 values, more than 100; give quantiles"):
        shoppers_of(queries, feature="name")


def test_columns_name_the_slice_of_every_shopper(make_queries: Make) -> None:
    channel, price = ["app", "web", None, "web"], [1.0, 2.0, 3.0, 4.0]
    seen = [[], [0, 0], [1], [2]]
    queries = make_queries(relevant=[[0]] * 4, seen=seen, channel=channel, price=price)
    configs = [
        SliceConfig(feature="channel"),
        SliceConfig(feature="price", quantiles=2),
        SliceConfig(cold_users=2),
        SliceConfig(cold_items=2),
    ]

    columns = slice_columns(configs, queries, np.ones(3, int))

    assert {name: values.tolist() for name, values in columns.items()} == {
        "channel=": ["channel=app", "channel=web", "channel=missing", "channel=web"],
        "price in": ["price in [1, 2]"] * 2 + ["price in (2, 4]"] * 2,
        "cold_users<2": ["cold_users<2", "", "cold_users<2", "cold_users<2"],
    }
