import base64
import json

import pytest
from starlette.testclient import TestClient

from tfrec.service.storefront.visitor import COOKIE, Visitor

SESSION = "0" * 32


def test_a_visitor_comes_back_with_the_cookie() -> None:
    visitor = Visitor.new("ann").with_item("bread").with_item("Käse").saying("cart", "Käse")
    assert Visitor.of_cookie(visitor.cookie(), may_choose=True) == visitor
    assert Visitor.of_cookie(visitor.cookie(), may_choose=False).user is None


@pytest.mark.parametrize(
    "content",
    [
        {"session": "short"},
        {"session": SESSION, "user": "anonymous:1"},
        {"session": SESSION, "user": ""},
        {"session": SESSION, "admin": True},
        {"session": SESSION, "basket": ["x"] * 21},
        ["session"],
    ],
)
def test_a_cookie_of_somebody_elses_making_is_a_new_visitor(content: object) -> None:
    text = base64.urlsafe_b64encode(json.dumps(content).encode()).decode()
    visitor = Visitor.of_cookie(text, may_choose=True)
    assert visitor.user is None
    assert visitor.session != SESSION


@pytest.mark.parametrize("text", [None, "", "=", "é", "a" * 9999, "e30", "////"])
def test_what_is_no_cookie_is_a_new_visitor(text: str | None) -> None:
    visitor = Visitor.of_cookie(text, may_choose=True)
    assert len(visitor.session) == 32
    assert visitor.basket == ()


def test_a_basket_never_outgrows_the_cookie() -> None:
    visitor = Visitor.new()
    for number in range(40):
        visitor = visitor.with_item(f"{number:02}" + "ü" * 200)
    assert len(visitor.basket) == 20
    kept = Visitor.of_cookie(visitor.cookie(), may_choose=True).basket
    assert kept == visitor.basket[-len(kept) :] != ()
    assert len(visitor.cookie()) < 4000


def test_an_item_is_in_the_basket_once() -> None:
    visitor = Visitor.new().with_item("a").with_item("b").with_item("a")
    assert visitor.basket == ("b", "a")
    assert visitor.without_items("a", "c").basket == ("b",)


def test_scripts_cannot_read_the_cookie_and_other_sites_cannot_send_it(browser: TestClient) -> None:
    answer = browser.get("/")
    cookie = answer.headers["set-cookie"].lower()
    assert cookie.startswith(COOKIE)
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert "secure" not in cookie
    assert "set-cookie" not in browser.get("/").headers
    browser.cookies.clear()
    assert "secure" in browser.get("https://testserver/").headers["set-cookie"].lower()
