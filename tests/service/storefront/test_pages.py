from collections.abc import Callable

import pytest
from starlette.testclient import TestClient
from storefront_shop import EVIL, Element, FewItems, read_page, shelf_items

Look = Callable[[str], Element]
PAGES = ["/", "/shop/items/bread", "/shop/search?q=bread", "/shop/guide?message=x", "/shop/basket"]


@pytest.mark.parametrize("address", [*PAGES, "/shop/search", "/shop/guide"])
def test_a_page_can_be_used_without_seeing_it(look_at: Look, address: str) -> None:
    page = look_at(address)
    (html,) = page.find("html")
    assert html.attributes["lang"] == "en"
    assert len(page.find("main")) == len(page.find("h1")) == len(page.find("header")) == 1
    assert page.find("nav", aria_label="Shop")
    assert page.find("div", aria_live="polite")
    assert page.find("a", class_="skip")[0].attributes["href"] == "#main"
    ids = [one.attributes["id"] for one in _all(page) if "id" in one.attributes]
    assert len(ids) == len(set(ids)), "an id is there twice"
    labels = {one.attributes["for"] for one in page.find("label")}
    for box in page.find("input"):
        assert box.attributes.get("type") == "hidden" or box.attributes["id"] in labels
    for shelf in page.find("section", class_="shelf"):
        names = [button.text for button in shelf.find("button")]
        assert len(set(names)) == len(names), "two buttons have one name"
    for one in _all(page):
        refers = one.attributes.get("aria-labelledby")
        assert refers is None or refers in ids


@pytest.mark.parametrize("address", PAGES)
def test_a_page_holds_nothing_inline_and_nothing_from_elsewhere(
    browser: TestClient, address: str
) -> None:
    answer = browser.get(address)
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    assert "unsafe" not in answer.headers["content-security-policy"]
    page = read_page(answer.text)
    for one in _all(page):
        assert "style" not in one.attributes
        assert not any(name.startswith("on") for name in one.attributes)
        assert not one.attributes.get("src", "/").startswith(("http", "//"))
    assert not page.find("style")
    assert [one.text for one in page.find("script")] == [""]


def test_the_first_page_has_the_shelves_of_the_shopper(look_at: Look, gateway: FewItems) -> None:
    page = look_at("/")
    assert [one.attributes["data-shelf"] for one in page.find("section", class_="shelf")] == [
        "home", "reorder", "promotions",
    ]  # fmt: skip
    assert [one.scenario for one in gateway.asked] == ["home", "reorder", "promotions"]
    assert {one.session for one in gateway.asked} == {gateway.asked[0].session}
    assert all(one.user is None and one.explain for one in gateway.asked)
    (tile,) = page.find("section", data_shelf="home")[0].find("li", data_item="bread")
    for text in ("White Bread 20 Oz", "$2.50", "Many buy White Bread", "what many buy", "Bakery"):
        assert text in tile.text, text
    assert "coupon c1" in page.find("li", data_item="milk")[0].text


def test_the_panel_says_how_a_page_was_made(look_at: Look) -> None:
    (panel,) = look_at("/").find("details", id="panel")
    for text in ("home", "version 7", "experiment value", "arm margin", "rank", "1.2 ms", "5" * 32):
        assert text in panel.text, text


def test_what_stands_in_is_said_above_the_shelves(look_at: Look, gateway: FewItems) -> None:
    assert not look_at("/").find("div", id="fallbacks")
    gateway.fallbacks = ("feature_store: cold start", "ranker: retrieval order")
    (banner,) = look_at("/").find("div", id="fallbacks", role="status")
    assert [" ".join(one.text.split()) for one in banner.find("li")] == [
        "feature store → cold start",
        "ranker → retrieval order",
    ]


def test_a_store_that_is_away_closes_no_shop(look_at: Look, gateway: FewItems) -> None:
    gateway.is_down = True
    page = look_at("/")
    assert "cannot remember anybody" in page.text
    assert shelf_items(page, "home")


def test_offers_without_a_coupon_are_no_offers(look_at: Look, gateway: FewItems) -> None:
    assert look_at("/").find("section", data_shelf="promotions")
    del gateway.names["milk"]
    assert not look_at("/").find("section", data_shelf="promotions")


def test_a_shelf_that_is_not_set_up_is_left_out(look_at: Look, gateway: FewItems) -> None:
    gateway.unready = {"promotions", "complementary"}
    assert not look_at("/").find("section", data_shelf="promotions")
    (shelf,) = look_at("/shop/items/bread").find("section", data_shelf="complementary")
    assert "needs a section that is missing" in shelf.text


def test_an_items_page_notes_a_view_once(look_at: Look, gateway: FewItems) -> None:
    page = look_at("/shop/items/bread")
    look_at("/shop/items/bread")
    (event,) = gateway.events
    assert (event["type"], event["item"]) == ("view", "bread")
    assert [one.scenario for one in gateway.asked[:2]] == ["complementary", "similar"]
    assert gateway.asked[0].items == ("bread",)
    assert page.find("h1")[0].text == "White Bread 20 Oz"


def test_a_link_from_a_shelf_notes_a_click_with_its_place(look_at: Look, gateway: FewItems) -> None:
    link = look_at("/").find("li", data_item="milk")[0].find("a")[0].attributes["href"]
    look_at(link)
    look_at(link)
    (event,) = gateway.events
    del event["session"]
    assert event == {
        "id": f"{'5' * 32}-2-click", "type": "click", "item": "milk", "scenario": "home",
        "position": "2", "propensity": "0.5", "arm": "value=margin",
    }  # fmt: skip


def test_no_browser_ahead_of_its_user_and_no_other_site_makes_a_view(
    browser: TestClient, gateway: FewItems
) -> None:
    browser.get("/shop/items/bread", headers={"sec-purpose": "prefetch;prerender"})
    browser.get("/shop/items/bread", headers={"sec-fetch-site": "cross-site"})
    browser.head("/shop/items/bread")
    assert gateway.events == []


def test_an_id_may_look_like_an_address(look_at: Look) -> None:
    link = look_at("/").find("li", data_item="../a/b c?")[0].find("a")[0].attributes["href"]
    page = look_at(link)
    assert page.find("h1")[0].text == "An id like an address"
    back = page.find("form", class_="acts")[0].fields()["back"]
    assert look_at(back).find("h1")[0].text == "An id like an address"


def test_what_the_shopper_was_at_is_shown_the_newest_first(look_at: Look) -> None:
    for item in ("bread", "milk", "bread"):
        look_at(f"/shop/items/{item}")
    (seen,) = look_at("/").find("section", class_="seen")
    assert [" ".join(one.text.split()) for one in seen.find("a")] == [
        "Milk 1 Ga",
        "White Bread 20 Oz",
    ]


def test_search_shows_what_is_found(look_at: Look, gateway: FewItems) -> None:
    page = look_at("/shop/search?q=%22bread%22")
    assert gateway.asked[-1].query == '"bread"'
    assert shelf_items(page, "search")
    assert page.find("input", name="q")[0].attributes["value"] == '"bread"'
    assert not shelf_items(look_at("/shop/search?q=++"), "search")


def test_the_guide_goes_on_where_it_was(
    look_at: Look, browser: TestClient, gateway: FewItems
) -> None:
    first = look_at("/shop/guide?message=snacks")
    assert "Two for snacks." in first.text
    assert [one.text for one in first.find("ul", class_="chips")[0].find("li")] == [
        "about: snacks", "aisle: Bakery", "brand: not Acme", "rating: at least 3",
        "price: at most $10.00", "no nuts",
    ]  # fmt: skip
    assert "zyx" in first.text
    (form,) = first.find("form", class_="ask")
    second = read_page(
        browser.get("/shop/guide", params={**form.fields(), "message": "cheaper"}).text
    )
    assert gateway.guided[1].conversation == "talk"
    assert [one.text.strip() for one in second.find("p", class_="said")] == [
        "You said: snacks",
        "You said: cheaper",
    ]


@pytest.mark.parametrize(
    "address", ["/", "/shop/items/evil", f"/shop/search?q={EVIL}", f"/shop/guide?message={EVIL}"]
)
def test_markup_in_names_and_questions_stays_text(browser: TestClient, address: str) -> None:
    browser.get("/shop/items/evil")
    text = browser.get(address).text
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert" in text
    assert len(read_page(text).find("script")) == 1


@pytest.mark.parametrize(
    ("address", "status", "message"),
    [
        ("/shop/items/nothing", 404, "There is no such item here: nothing"),
        (f"/shop/items/{'x' * 300}", 404, "There is no such item here"),
        (f"/shop/search?q={'x' * 501}", 422, "query: String should have at most 500 characters"),
        (f"/shop/guide?message={'x' * 501}", 422, "message: String should have at most 500"),
        (f"/shop/guide?message=x&conversation={'x' * 8193}", 422, "conversation: String should"),
    ],
)
def test_what_cannot_be_answered_is_answered_with_a_page(
    browser: TestClient, address: str, status: int, message: str
) -> None:
    answer = browser.get(address)
    assert answer.status_code == status
    (alert,) = read_page(answer.text).find("p", role="alert")
    assert message in alert.text


def test_files_are_there_and_no_others(browser: TestClient) -> None:
    page = read_page(browser.get("/").text)
    links = [one.attributes["href"] for one in page.find("link")]
    links += [one.attributes["src"] for one in page.find("script")]
    assert len(links) == 3
    for link in links:
        assert browser.get(link).status_code == 200, link
    assert browser.get("/static/../pages.py").status_code == 404
    assert browser.get("/static/%2e%2e/pages.py").status_code == 404
    assert browser.post("/").status_code == 405


def _all(element: Element) -> list[Element]:
    return [found for one in element.inside for found in (one, *_all(one))]
