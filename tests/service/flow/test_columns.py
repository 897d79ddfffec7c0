import numpy as np
import pyarrow as pa
import pytest

from tfrec.service.flow.columns import Categories, Category
from tfrec.service.flow.shop import Shop


def test_a_category_knows_its_items() -> None:
    category = Category(pa.array(["b", None, "a", "b"]))

    assert category.has(np.arange(4), ["b", "z"]).tolist() == [True, False, False, True]
    assert category.has(np.array([1, 2]), []).tolist() == [False, False]
    assert category.rows_of(category.values.index("b")).tolist() == [0, 3]


def test_lists_of_categories_match_by_any_value() -> None:
    categories = Categories(pa.array([["a", "b"], None, [], ["b"], [None, "c"]]))

    assert categories.has(np.arange(5), ["a", "c"]).tolist() == [True, False, False, False, True]
    assert categories.has(np.array([3, 1]), ["b"]).tolist() == [True, False]
    assert (categories.values, categories.of(4), categories.of(1)) == (["a", "b", "c"], ["c"], [])


def test_the_likely_category_has_about_as_many_values_as_items_in_each(toy_shop: Shop) -> None:
    # 5 aisles and 3 brands of 40 items, whose square root is 6.3.
    assert toy_shop.columns.likely_category() == "aisle"
    assert toy_shop.columns.numbers["weight"][5] == pytest.approx(5)
    assert np.isnan(toy_shop.columns.numbers["weight"][6])
