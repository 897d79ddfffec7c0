"""The storefront in a real browser, over a real service."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import pytest
import uvicorn
from gateway_shop import ToyModels, make_gateway
from web_browser import GoneError, WebBrowser, WebElement, web_browser

from tfrec.service.gateway import Gateway
from tfrec.service.http.app import make_app
from tfrec.service.http.config import HttpConfig
from tfrec.service.storefront.pages import routes

_SECONDS = 60
_DESKTOP, _NARROW_PHONE = 1280, 360


@dataclass
class Shop:
    """A service and a browser before it.

    Attributes:
      models: that the service asks.
      address: of its first page.
      browser: looks at it.
    """

    models: ToyModels
    address: str
    browser: WebBrowser

    def open(self, path: str = "/") -> None:
        """Opens a page."""
        self.browser.open(self.address + path)

    def find(self, selector: str) -> WebElement:
        """The first element of a selector, as soon as it is there."""
        return self.wait(lambda: next(iter(self.browser.all(selector)), None), selector)

    def all(self, selector: str) -> list[WebElement]:
        """All elements of a selector that are there now."""
        return self.browser.all(selector)

    def text(self, selector: str) -> str:
        """What stands in an element, as soon as it is there."""
        return self.wait(lambda: self.find(selector).text, f"a text in {selector}")

    def press(self, selector: str) -> None:
        """Presses an element."""
        self.find(selector).press()

    def write(self, selector: str, text: str) -> None:
        """Writes into a field, and sends its form."""
        self.find(selector).write(text)

    def shelf(self, name: str = "home") -> list[str]:
        """Ids of the items on a shelf."""
        tiles = self.all(f"[data-shelf={name}] [data-item]")
        return [tile.property("dataset")["item"] for tile in tiles]

    def wait(self, look: Callable[[], Any], what: str) -> Any:
        """Waits until something is there that is true."""
        deadline = time.monotonic() + _SECONDS
        while time.monotonic() < deadline:
            with suppress(GoneError):
                if found := look():
                    return found
            time.sleep(0.02)
        raise AssertionError(f"{what} did not come")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    models, folder = ToyModels(), tmp_path_factory.mktemp("shop")
    with (
        web_browser(tmp_path_factory.mktemp("browser")) as browser,
        _serving(lambda: make_gateway(folder, models)) as address,
    ):
        yield Shop(models, address, browser)


@pytest.fixture
def shop(running: Shop) -> Iterator[Shop]:
    """The shop as a visitor finds it who was never there; nothing may be wrong in the end."""
    running.browser.set_width(_DESKTOP)
    running.browser.set_scheme("light")
    running.browser.allow_scripts(True)
    running.open()
    running.browser.forget()
    running.open()
    running.browser.complaints()
    yield running
    assert running.browser.complaints() == []


def test_what_is_bought_changes_the_shelves_in_their_place(shop: Shop) -> None:
    before = shop.shelf()
    assert before[0] not in shop.shelf("reorder")
    shop.browser.run("window.sameDocument = true")
    shop.press("#home-1-purchase")
    assert "You bought" in shop.text("#done")
    assert shop.shelf() != before
    assert shop.shelf("reorder") == [before[0]]
    assert shop.text("[data-shelf=reorder] .why summary")
    assert shop.all("[data-shelf=reorder] .arrived")
    assert shop.browser.run("return window.sameDocument"), "the page was loaded again"
    live = shop.find("#live").property("textContent")
    assert "You bought" in live
    assert "new on the shelves" in live
    assert shop.find(":focus").property("id") == "home-1-purchase"
    shop.open()
    assert shop.shelf("reorder") == [before[0]]
    assert not shop.all("#done")


def test_what_is_hidden_stays_away(shop: Shop) -> None:
    hidden = shop.shelf()[1]
    shop.press("#home-2-hide")
    assert "You will not see" in shop.text("#done")
    assert hidden not in shop.shelf()


def test_an_item_that_is_opened_is_known_to_the_next_page(shop: Shop) -> None:
    name = shop.text("[data-shelf=home] .name")
    assert not shop.all(".seen a")
    shop.press("[data-shelf=home] .face")
    assert shop.text("h1") == name
    assert shop.shelf("similar") or shop.shelf("complementary")
    shop.press(".brand")
    assert shop.text(".seen a") == name


def test_an_item_says_why_it_is_there(shop: Shop) -> None:
    assert not shop.find("[data-shelf=home] .why p").is_shown
    shop.press("[data-shelf=home] .why summary")
    assert len(shop.text("[data-shelf=home] .why p")) > 10
    shop.press("#panel summary")
    panel = shop.text("#panel")
    assert "scenario" in panel
    assert "version" in panel
    assert " ms" in panel


def test_search_finds_by_words(shop: Shop) -> None:
    shop.write("#q", SEARCHED)
    assert SEARCHED in shop.text("#shelf-search")
    assert shop.shelf("search")


def test_the_guide_answers_and_goes_on(shop: Shop) -> None:
    shop.write("#message", GUIDED)
    assert GUIDED in shop.text(".said")
    first = shop.text(".reply")
    assert first
    shop.write("#message", "cheaper")
    shop.wait(lambda: len(shop.all(".said")) == 2, "the second turn")
    assert shop.text(".reply")


def test_a_basket_is_filled_and_bought(shop: Shop) -> None:
    wanted = shop.shelf()[0]
    shop.press("#home-1-cart")
    assert shop.text("#basket .count") == "1"
    shop.press("#basket")
    shop.press("#buy-all")
    assert "You bought what was in your basket" in shop.text("#done")
    assert shop.browser.address == shop.address + "/"
    assert shop.shelf("reorder") == [wanted]
    assert not shop.all("#basket .count")


def test_a_visitor_becomes_a_shopper(shop: Shop) -> None:
    shop.write("#user", "user-1")
    shop.wait(lambda: "user-1" in shop.text(".who p"), "the shopper")
    assert shop.shelf()
    shop.press("#anew")
    shop.wait(lambda: "You are anonymous" in shop.text(".who p"), "the visitor")


def test_a_part_that_fails_is_told_and_the_shop_stays_open(shop: Shop) -> None:
    assert not shop.all("#fallbacks")
    shop.models.faults["rank"] = ConnectionError("away")
    try:
        shop.press("#anew")  # whose shelves are in no cache
        assert "Part of the service is away" in shop.text("#fallbacks")
        assert "ranker" in shop.text("#fallbacks li")
        assert shop.shelf()
    finally:
        shop.models.faults.clear()


def test_the_shop_works_without_scripts(shop: Shop) -> None:
    shop.browser.allow_scripts(False)
    shop.open()
    wanted = shop.shelf()[0]
    shop.press("#home-1-purchase")
    assert "You bought" in shop.text("#done")
    assert shop.shelf("reorder") == [wanted]
    shop.press("[data-shelf=home] .why summary")
    assert shop.text("[data-shelf=home] .why p")
    shop.write("#q", SEARCHED)
    assert shop.text("#shelf-search")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_fit_a_phone_and_can_be_read(shop: Shop, scheme: str) -> None:
    shop.browser.set_scheme(scheme)
    item = shop.shelf()[0]
    shop.press("#home-2-cart")
    shop.find("#done")
    paths = ["/", f"/shop/items/{item}", f"/shop/search?q={SEARCHED}", "/shop/basket"]
    for path in [*paths, f"/shop/guide?message={GUIDED}"]:
        for width in (_NARROW_PHONE, _DESKTOP):
            shop.browser.set_width(width)
            shop.open(path)
            shop.browser.run(_OPEN_ALL)
            faults = shop.browser.run(_FAULTS)
            assert faults == [], f"{path} at {width} pixels"


SEARCHED = "bread"
GUIDED = "bread under 10 dollars"

_OPEN_ALL = "document.querySelectorAll('details').forEach(one => one.open = true)"

# What is too wide, too small to be touched, or too faint for level AA of WCAG 2.2.
_FAULTS = """
const faults = [];
const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
if (wide > 0) faults.push(`the page is ${wide} pixels too wide`);
const shown = one => one.checkVisibility() && !one.closest('.unseen, .skip');
for (const one of document.querySelectorAll('button, summary, input:not([type=hidden])')) {
  const box = one.getBoundingClientRect();
  if (shown(one) && (box.width < 24 || box.height < 24)) faults.push(`${one.outerHTML} is small`);
}
const parts = colour => colour.match(/[\\d.]+/g).map(Number);
const light = ([r, g, b]) => [r, g, b].map(value => value / 255)
  .map(value => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
  .reduce((sum, value, at) => sum + value * [0.2126, 0.7152, 0.0722][at], 0);
const behind = one => {
  for (; one; one = one.parentElement) {
    const colour = parts(getComputedStyle(one).backgroundColor);
    if (colour[3] !== 0) return colour;
  }
  return [255, 255, 255];
};
for (const one of document.querySelectorAll('main *, header *, footer, .who *')) {
  const own = [...one.childNodes].some(node => node.nodeType === 3 && node.data.trim());
  if (!own || !shown(one)) continue;
  const [a, b] = [light(parts(getComputedStyle(one).color)), light(behind(one))];
  const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  if (ratio < 4.5) faults.push(`${one.outerHTML.slice(0, 80)} has a contrast of ${ratio}`);
}
return [...new Set(faults)];
"""


@contextmanager
def _serving(make: Callable[[], Gateway]) -> Iterator[str]:
    """Serves a gateway on a free port, in a thread with an event loop of its own."""
    listener = socket.create_server(("127.0.0.1", 0))
    ready: Future[None] = Future()
    server: list[uvicorn.Server] = []

    async def run() -> None:
        gateway = make()
        app = make_app(gateway, HttpConfig(), routes(gateway, shoppers=["user-1"]))
        server.append(uvicorn.Server(uvicorn.Config(app, log_level="warning")))
        ready.set_result(None)
        await server[0].serve([listener])
        await gateway.close()

    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    try:
        ready.result(_SECONDS)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server[0].should_exit = True
        thread.join(_SECONDS)
