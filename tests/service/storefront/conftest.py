"""The storefront over a gateway that answers at once."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient
from storefront_shop import Element, FewItems, read_page

from tfrec.service.storefront.pages import routes


@pytest.fixture
def gateway() -> FewItems:
    return FewItems()


@pytest.fixture
def open_shop(gateway: FewItems) -> Iterator[Callable[..., TestClient]]:
    """A browser before the shop, which has a cookie jar of its own."""
    with ExitStack() as stack:

        def run(**options: object) -> TestClient:
            client = TestClient(Starlette(routes=routes(gateway, **options)))
            client.headers["origin"] = "http://testserver"
            return stack.enter_context(client)

        yield run


@pytest.fixture
def browser(open_shop: Callable[..., TestClient]) -> TestClient:
    return open_shop(shoppers=["ann", "bob"])


@pytest.fixture
def look_at(browser: TestClient) -> Callable[[str], Element]:
    """Opens a page that has to be there, and reads it."""

    def run(address: str) -> Element:
        answer = browser.get(address)
        assert answer.status_code == 200, answer.text
        return read_page(answer.text)

    return run
