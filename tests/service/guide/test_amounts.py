import pytest

from tfrec.service.guide.amounts import Price, cut_price, cut_quantity


@pytest.mark.parametrize(
    ("text", "price"),
    [
        ("wine under 10 dollars", Price(most=10)),
        ("wine below $9.99", Price(most=9.99)),
        ("wine for less than ten bucks", Price(most=10)),
        ("wine, at most 1,000 euros", Price(most=1000)),
        ("wine bis 2,50 euro", Price(most=2.5)),
        ("gum under 50 cents", Price(most=0.5)),
        ("wine up to twenty", Price(most=20)),
        ("wine no more than $8", Price(most=8)),
        ("wine, 15 dollars or less", Price(most=15)),
        ("wine, $15 max", Price(most=15)),
        ("wine for 5 dollars", Price(most=5)),
        ("wine over 20", Price(least=20)),
        ("wine, at least $12", Price(least=12)),
        ("wine, $12 and up", Price(least=12)),
        ("wine over 5 under 8", Price(5, 8)),
        ("wine between 5 and 10 dollars", Price(5, 10)),
        ("wine from $10 to $5", Price(5, 10)),
        ("wine $5-10", None),
        ("wine 5-$10", Price(5, 10)),
        ("candy 50-80 cents", Price(0.5, 0.8)),
        ("wine around $8", Price(6, 10)),
    ],
)
def test_price_is_read(text: str, price: Price | None) -> None:
    found, rest = cut_price(text)

    if price is not None:
        assert found == pytest.approx(price)
        assert not any(char.isdigit() for char in rest)
    assert rest.startswith(("wine", "gum", "candy"))


@pytest.mark.parametrize(
    "text",
    [
        "snacks under 100 calories", "milk 2%", "soda 12 oz", "bags over 5 lb", "at least 3 items",
        "cookies for 20 people", "7 up", "under the sea", "a 750ml bottle", "size 10", "",
    ],
)  # fmt: skip
def test_other_numbers_are_no_price(text: str) -> None:
    assert cut_price(text) == (None, text)


@pytest.mark.parametrize(
    ("text", "quantity", "rest"),
    [
        ("three wines", 3, "wines"),
        ("a dozen eggs", 12, "eggs"),
        ("half a dozen eggs", 6, "eggs"),
        ("give me a few snacks", 3, "give me snacks"),
        ("a couple of beers", 2, "beers"),
        ("5 items for lunch", 5, "for lunch"),
        ("10 snacks for 8 people", 10, "snacks"),
        ("snacks for 8 kids", None, "snacks for kids"),
        ("900 snacks", 100, "snacks"),
        ("0 snacks", None, "0 snacks"),
        ("2% milk", None, "2% milk"),
        ("12 oz soda", None, "12 oz soda"),
        ("24 rolls", None, "24 rolls"),
        ("1.5 liters", None, "1.5 liters"),
        ("snacks", None, "snacks"),
    ],
)
def test_quantity_is_read(text: str, quantity: int | None, rest: str) -> None:
    found, left = cut_quantity(text)

    assert found == quantity
    assert " ".join(left.split()) == rest
