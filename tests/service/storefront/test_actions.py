from collections.abc import Callable

import pytest
from httpx import Response
from starlette.testclient import TestClient
from storefront_shop import Element, FewItems, read_page, shelf_items

from tfrec.service.storefront.visitor import COOKIE, Visitor

Look = Callable[[str], Element]
FORM = {"type": "cart", "item": "bread", "once": "a" * 32, "back": "/"}


def test_what_is_bought_leaves_the_shelf(
    browser: TestClient, look_at: Look, gateway: FewItems
) -> None:
    done = _press(browser, look_at("/"), "milk", "purchase")
    assert done.history[0].status_code == 303
    page = read_page(done.text)
    assert "You bought Milk 1 Ga" in " ".join(page.find("p", id="done")[0].text.split())
    assert "milk" not in shelf_items(page, "home")
    bought, redeemed = gateway.events
    assert bought.items() >= {
        "type": "purchase", "item": "milk", "scenario": "home", "position": "2",
        "propensity": "0.5", "arm": "value=margin", "quantity": 1, "coupon": "c1",
    }.items()  # fmt: skip
    assert (redeemed["type"], redeemed["coupon"]) == ("coupon_redemption", "c1")
    assert "user" not in bought
    assert not look_at("/").find("p", id="done"), "it is said twice"


def test_what_is_hidden_leaves_the_shelf(
    browser: TestClient, look_at: Look, gateway: FewItems
) -> None:
    page = read_page(_press(browser, look_at("/"), "bread", "hide").text)
    assert "You will not see White Bread 20 Oz again" in " ".join(page.text.split())
    assert "bread" not in shelf_items(page, "home")
    assert gateway.events[0]["type"] == "hide"


def test_a_form_that_is_sent_again_counts_once(browser: TestClient, gateway: FewItems) -> None:
    for _ in range(2):
        assert browser.post("/shop/act", data=FORM | {"type": "purchase"}).status_code == 200
    (event,) = gateway.events
    assert event["price"] == 2.5


def test_a_basket_is_filled_emptied_and_bought(
    browser: TestClient, look_at: Look, gateway: FewItems
) -> None:
    for item in ("bread", "milk", "wine"):
        _press(browser, look_at("/"), item, "cart")
    page = look_at("/shop/basket")
    assert gateway.asked[-1].items == ("bread", "milk", "wine")
    assert page.find("span", class_="count")[0].text == "3"
    assert shelf_items(look_at("/"), "basket")
    (form,) = page.find("form", class_="basket")
    browser.post("/shop/buy", data={**form.fields(), "without": "milk"})
    page = read_page(browser.post("/shop/buy", data=form.fields()).text)
    assert "You bought what was in your basket" in page.text
    assert not page.find("span", class_="count")
    bought = [event["item"] for event in gateway.events if event["type"] == "purchase"]
    assert bought == ["bread", "wine"]
    assert browser.post("/shop/buy", data=form.fields()).status_code == 422


def test_an_item_that_is_gone_leaves_the_basket(
    browser: TestClient, look_at: Look, gateway: FewItems
) -> None:
    _press(browser, look_at("/"), "milk", "cart")
    del gateway.names["milk"]
    assert "There is nothing in it" in look_at("/shop/basket").text


def test_a_visitor_becomes_a_shopper_and_somebody_new(
    browser: TestClient, look_at: Look, gateway: FewItems
) -> None:
    page = look_at("/")
    assert "You are anonymous" in page.find("section", class_="who")[0].text
    assert [one.attributes["value"] for one in page.find("option")] == ["ann", "bob"]
    old = gateway.asked[-1].session
    page = read_page(browser.post("/shop/shopper", data={"user": " ann "}).text)
    assert "shopper ann" in page.find("section", class_="who")[0].text
    assert (gateway.asked[-1].user, gateway.asked[-1].session) == ("ann", None)
    browser.post("/shop/act", data=FORM)
    assert gateway.events[-1]["user"] == "ann"
    browser.post("/shop/shopper", data={"user": ""})
    assert gateway.asked[-1].user is None
    assert gateway.asked[-1].session != old
    assert not look_at("/").find("span", class_="count"), "the basket was another's"


def test_where_nobody_may_choose_all_are_anonymous(
    open_shop: Callable[..., TestClient], gateway: FewItems
) -> None:
    browser = open_shop(may_choose=False)
    assert not read_page(browser.get("/").text).find("input", name="user")
    assert browser.post("/shop/shopper", data={"user": "ann"}).status_code == 403
    browser.cookies.set(COOKIE, Visitor.new("ann").cookie())
    browser.get("/")
    browser.post("/shop/act", data=FORM)
    assert {one.user for one in gateway.asked} == {None}
    assert "user" not in gateway.events[-1]


@pytest.mark.parametrize("user", ["anonymous:0123", "x" * 257])
def test_no_shopper_can_be_a_session_or_a_long_story(browser: TestClient, user: str) -> None:
    answer = browser.post("/shop/shopper", data={"user": user})
    assert answer.status_code == 422
    assert "user: " in answer.text


@pytest.mark.parametrize(
    ("changed", "status", "message"),
    [
        ({"type": "rating"}, 422, "is no button of this shop: cart, purchase, hide"),
        ({"type": ""}, 422, "is no button of this shop"),
        ({"once": "1"}, 422, "load the page again"),
        ({"item": "nothing"}, 404, "There is no such item here: nothing"),
        ({"item": ""}, 404, "There is no such item here"),
        ({"coupon": "c" * 300}, 422, "The shop could not take this in: coupon:"),
    ],
)
def test_a_form_that_cannot_be_right_changes_nothing(
    browser: TestClient, gateway: FewItems, changed: dict[str, str], status: int, message: str
) -> None:
    answer = browser.post("/shop/act", data=FORM | changed)
    assert answer.status_code == status
    assert message in answer.text
    assert gateway.events == []
    assert not read_page(browser.get("/shop/basket").text).find("form", class_="basket")


@pytest.mark.parametrize("place", ["", "home:0:1:r:", "home:1:1:r", "<b>:1:1:r:", "x" * 999])
def test_a_place_that_is_none_is_left_out(
    browser: TestClient, gateway: FewItems, place: str
) -> None:
    assert browser.post("/shop/act", data=FORM | {"place": place}).status_code == 200
    assert "scenario" not in gateway.events[0]


@pytest.mark.parametrize(
    ("back", "address"),
    [
        ("/shop/items/milk?from=x", "/shop/items/milk?from=x"),
        ("https://elsewhere.example/", "/"),
        ("//elsewhere.example/", "/"),
        ("/\\elsewhere.example/", "/"),
        ("/\r\nset-cookie: a=b", "/"),
        ("", "/"),
    ],
)
def test_a_form_leads_back_to_a_page_of_the_shop(
    browser: TestClient, back: str, address: str
) -> None:
    answer = browser.post("/shop/act", data=FORM | {"back": back}, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, address)


@pytest.mark.parametrize("path", ["/shop/act", "/shop/buy", "/shop/shopper"])
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "http://testserver"}, 200),
        ({"origin": "http://testserver", "sec-fetch-site": "same-origin"}, 200),
        ({"origin": "null", "sec-fetch-site": "same-origin"}, 200),
        ({"origin": "http://elsewhere.example"}, 403),
        ({"origin": "http://testserver.elsewhere.example"}, 403),
        ({"origin": "http://testserver", "sec-fetch-site": "cross-site"}, 403),
        ({"origin": "http://testserver", "sec-fetch-site": "same-site"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": ""}, 403),
    ],
)
def test_no_other_site_posts_in_the_visitors_name(
    browser: TestClient, gateway: FewItems, path: str, headers: dict[str, str], status: int
) -> None:
    browser.cookies.set(COOKIE, Visitor.new("ann").with_item("milk").cookie())
    answer = browser.post(path, data=FORM, headers=headers, follow_redirects=False)
    assert answer.status_code == (303 if status == 200 else status)
    if status == 403:
        assert gateway.events == []
        assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"type=cart", "application/json", 415),
        (b"type=cart", "", 415),
        (b"item=" + b"x" * 20_000, "application/x-www-form-urlencoded", 413),
        (b"item=%ff", "application/x-www-form-urlencoded", 400),
        (b"\xff", "application/x-www-form-urlencoded", 400),
        (b"a&" * 100, "application/x-www-form-urlencoded", 400),
    ],
)
def test_what_is_no_form_is_refused(
    browser: TestClient, gateway: FewItems, body: bytes, kind: str, status: int
) -> None:
    answer = browser.post("/shop/act", content=body, headers={"content-type": kind})
    assert answer.status_code == status
    assert read_page(answer.text).find("p", role="alert")
    assert gateway.events == []


def _press(browser: TestClient, page: Element, item: str, button: str) -> Response:
    """Presses a button of an item on the first shelf, and follows to the next page."""
    (tile,) = page.find("section", data_shelf="home")[0].find("li", data_item=item)
    (form,) = tile.find("form", class_="acts")
    assert form.find("button", value=button)
    return browser.post(form.attributes["action"], data=form.fields() | {"type": button})
