import pytest

from tfrec.data.catalogue import Catalogue
from tfrec.service.guide.categories import Categories
from tfrec.service.search.search import Search


@pytest.fixture(scope="module")
def categories(grocery: Catalogue, grocery_search: Search) -> Categories:
    return Categories(grocery, grocery_search)


def test_features_that_hold_words_have_values(categories: Categories) -> None:
    assert categories.names == {"department", "category", "brand"}


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ([["wine"]], {"category": {"DOMESTIC WINE", "IMPORTED WINE"}}),
        ([["imported", "wine"]], {"category": {"IMPORTED WINE"}}),
        ([["wine", "imported"]], {"category": {"IMPORTED WINE"}}),
        ([["salad"], ["bread"]], {"category": {"SALADS/DIPS", "BREAD"}}),
        ([["grocery"]], {"department": {"GROCERY"}}),
        ([["frozen", "pizza"]], {"category": {"FROZEN PIZZA"}}),
        ([["peanut", "butter"]], {"category": {"PNT BTR/JELLY/JAMS"}}),
        ([["zebra"]], {}),
        ([["wine"], ["zebra"]], {}),
        ([], {}),
    ],
)
def test_words_name_the_values_that_have_them(
    categories: Categories, chunks: list[list[str]], expected: dict[str, set[str]]
) -> None:
    found = categories.subject(chunks)

    assert {name: set(values) for name, values in found.items()} == expected


def test_value_is_found_as_it_is_written_out(categories: Categories) -> None:
    assert categories.exactly(" bag snacks ") == ("category", "BAG SNACKS")
    assert categories.exactly("snacks") is None


def test_largest_values_are_those_bought_most(categories: Categories) -> None:
    assert categories.largest(2) == ["FRUIT", "FLUID MILK PRODUCTS"]


def test_rows_have_a_value_of_each_feature(categories: Categories, grocery: Catalogue) -> None:
    kept = categories.rows({"category": ("BAG SNACKS",), "brand": ("Private",)})

    assert grocery.ids[kept].tolist() == ["crackers"]
