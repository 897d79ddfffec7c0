from pathlib import Path

import pytest

from tfrec.service.api import Filters, Understood
from tfrec.service.storefront import drawing, pictures
from tfrec.service.storefront.drawing import details, kind, milliseconds, money, quantity, readable
from tfrec.service.storefront.pictures import HUES, picture

ROOM = Path(drawing.__file__).parent


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("WHITE BREAD 20 OZ", "White Bread 20 Oz"),
        ("White BREAD", "White BREAD"),
        ("", ""),
        ("1984", "1984"),
    ],
)
def test_names_in_capitals_are_toned_down(name: str, shown: str) -> None:
    assert readable(name) == shown


def test_names_in_a_sentence_are_toned_down() -> None:
    said = drawing.sentence("Because you bought BANANAS 40 LB in the BBC shop A B")
    assert said == "Because you bought Bananas 40 Lb in the BBC shop A B"
    assert drawing.sentence("Goes with MILK/CREAM (2%)") == "Goes with Milk/cream (2%)"


@pytest.mark.parametrize(
    ("price", "shown"),
    [(2.5, "$2.50"), (1234, "$1,234.00"), (0, "$0.00"), (None, ""), (float("nan"), ""), (-1, "")],
)
def test_prices(price: float | None, shown: str) -> None:
    assert money(price) == shown


@pytest.mark.parametrize(
    ("number", "shown"),
    [(3.0, "3"), (0.0, "0"), (0.12345, "0.123"), (12345.0, "12,345"), (float("nan"), "nan")],
)
def test_quantities(number: float, shown: str) -> None:
    assert quantity(number) == shown


def test_times() -> None:
    assert [milliseconds(one) for one in (0.04, 12.34, 1234.5)] == ["0.0 ms", "12.3 ms", "1,234 ms"]


def test_an_item_is_told_by_its_words_not_by_its_codes() -> None:
    features = {"maker": "673", "aisle": "BAKERY", "type": "BREAD", "brand": "Acme", "price": 2.0}
    assert details(features) == [("aisle", "Bakery"), ("type", "Bread"), ("brand", "Acme")]
    assert kind(features, "WHITE BREAD") == "Bakery"
    assert kind({}, "WHITE BREAD") == ""


def test_a_conversation_is_told_in_wishes() -> None:
    many = tuple("CDEFGH")
    only = {"product_type": ("A", "B")}
    filters = Filters(only=only, without={"brand": many}, most={"price": 3}, least={"size": 2})
    assert drawing.wishes(Understood(about="", filters=filters, quantity=3)) == [
        "product type: A or B", "brand: not C, D, E, F and 2 more", "size: at least 2",
        "price: at most $3.00", "how many: 3",
    ]  # fmt: skip


def test_the_most_special_category_gives_the_picture() -> None:
    assert picture("X", {"department": "GROCERY", "category": "CHEESES"}).icon == "cheese"
    assert picture("X", {"department": "MEAT", "category": "FRZN DINNERS"}).icon == "snow"
    assert picture("Dog biscuits", {"department": "GROCERY"}).icon == "paw"
    assert picture("Catalogue", {"price": 1.0}).icon == "basket", "no cat is in it"


def test_what_has_no_picture_has_the_colour_of_its_category() -> None:
    first, second, third = (picture(name, {"aisle": "QX"}) for name in "abc")
    assert first == second == third
    assert {picture("a", {"aisle": f"Q{n}"}).hue for n in range(200)} == set(range(HUES))


def test_every_picture_is_drawn_and_every_colour_is_there() -> None:
    symbols = (ROOM / "templates/icons.svg").read_text()
    style = (ROOM / "static/style.css").read_text()
    for icon, hue, _ in pictures._ICONS:
        assert f'id="i-{icon}"' in symbols
        assert 0 <= hue < HUES
    for hue in range(HUES):
        assert f".hue-{hue} {{" in style
