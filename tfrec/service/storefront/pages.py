"""The shop's pages."""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from tfrec.errors import UserError
from tfrec.service.api import GuideRequest
from tfrec.service.event_log import LogError
from tfrec.service.feature_store import Shopper, StoreError
from tfrec.service.gateway import Gateway, Item, UnknownItemError
from tfrec.service.storefront.actions import act, buy_basket, look
from tfrec.service.storefront.drawing import STATIC, environment
from tfrec.service.storefront.errors import PageError
from tfrec.service.storefront.forms import read_form, within_shop
from tfrec.service.storefront.place import Place
from tfrec.service.storefront.shelves import (
    Shelf,
    basket_wishes,
    fill,
    home_wishes,
    item_wishes,
    search_wish,
)
from tfrec.service.storefront.visitor import COOKIE, Visitor

logger = logging.getLogger(__name__)

_COOKIE_SECONDS = 7 * 86_400
_MOST_REMEMBERED = 8
_MOST_SAID = 6
_HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; style-src 'self'; script-src 'self'; "
    "img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
}

Page = Callable[[Request], Awaitable[Response]]


def routes(
    gateway: Gateway, *, shoppers: Sequence[str] = (), may_choose: bool = True
) -> list[BaseRoute]:
    """The shop's pages below `/`, and their files below `/static/`.

    Args:
      gateway: what the pages ask.
      shoppers: ids of a few shoppers, that the page proposes to be.
      may_choose: whether a visitor may be any shopper. Whoever may sees what was recommended to
        that shopper, so it is for a demonstration on one machine; else all are anonymous.
    """
    shop = Storefront(gateway, tuple(shoppers), may_choose)
    pages: list[tuple[str, str, Page]] = [
        ("GET", "/", shop.home),
        ("GET", "/shop/items/{item:path}", shop.item),
        ("GET", "/shop/search", shop.search),
        ("GET", "/shop/guide", shop.guide),
        ("GET", "/shop/basket", shop.basket),
        ("POST", "/shop/act", shop.act),
        ("POST", "/shop/buy", shop.buy),
        ("POST", "/shop/shopper", shop.choose),
    ]
    return [
        *(Route(path, shop.saying_why(page), methods=[method]) for method, path, page in pages),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]


class Storefront:
    """Pages over a gateway, for any number of visitors."""

    def __init__(self, gateway: Gateway, shoppers: tuple[str, ...], may_choose: bool) -> None:
        """Takes what `routes` takes."""
        self._gateway, self._shoppers, self._may_choose = gateway, shoppers, may_choose

    async def home(self, request: Request) -> Response:
        """The shelves of the shopper."""
        visitor = self._visitor(request)
        shopper = await self._shopper(visitor)
        wishes = home_wishes(visitor, bool(shopper and shopper.is_known))
        shelves = await fill(self._gateway, visitor, wishes)
        return self._page(
            request, visitor, "home.html", shelves, shopper=shopper, seen=self._seen(shopper)
        )

    async def item(self, request: Request) -> Response:
        """An item, and what goes with it."""
        visitor = self._visitor(request)
        item = self._gateway.item(request.path_params["item"])
        if _is_looked_at(request):
            place = Place.read(request.query_params.get("from", ""))
            await look(self._gateway, visitor, item, place)
        shelves = await fill(self._gateway, visitor, item_wishes(item.id))
        return self._page(request, visitor, "item.html", shelves, item=item)

    async def search(self, request: Request) -> Response:
        """What is found for some words."""
        visitor = self._visitor(request)
        query = request.query_params.get("q", "").strip()
        shelves = await fill(self._gateway, visitor, [search_wish(query)] if query else [])
        return self._page(request, visitor, "search.html", shelves, query=query)

    async def guide(self, request: Request) -> Response:
        """What the guide says; the form that asks on holds the conversation."""
        visitor = self._visitor(request)
        message = request.query_params.get("message", "").strip()
        said = [text[:200] for text in request.query_params.getlist("said")][-_MOST_SAID:]
        reply, shelves = None, []
        if message:
            conversation = request.query_params.get("conversation") or None
            reply = await self._gateway.guide(
                GuideRequest(message=message, conversation=conversation, k=12, **visitor.asker)
            )
            shelves = [Shelf("guide", "What the guide found", reply.slate)]
        return self._page(
            request, visitor, "guide.html", shelves, message=message, said=said, reply=reply
        )

    async def basket(self, request: Request) -> Response:
        """What is in the basket, and what goes with it."""
        visitor = self._visitor(request)
        items = []
        for one in visitor.basket:
            try:
                items.append(self._gateway.item(one))
            except UnknownItemError:
                visitor = visitor.without_items(one)
        shelves = await fill(self._gateway, visitor, basket_wishes(visitor))
        return self._page(request, visitor, "basket.html", shelves, items=items)

    async def act(self, request: Request) -> Response:
        """Does what a button says, and goes back."""
        form = await read_form(request)
        visitor = await act(self._gateway, self._visitor(request), form)
        return self._back(request, visitor, form.get("back", "/"))

    async def buy(self, request: Request) -> Response:
        """Buys what is in the basket."""
        form = await read_form(request)
        visitor = self._visitor(request)
        if unwanted := form.get("without"):
            return self._back(request, visitor.without_items(unwanted), "/shop/basket")
        return self._back(request, await buy_basket(self._gateway, visitor, form), "/")

    async def choose(self, request: Request) -> Response:
        """Makes the visitor another shopper, or somebody new."""
        form = await read_form(request)
        user = form.get("user", "").strip()
        if user and not self._may_choose:
            raise PageError(403, "Here all visitors are anonymous.")
        visitor = Visitor.new(user or None)
        return self._back(request, visitor, "/")

    def saying_why(self, page: Page) -> Page:
        """A page that answers with a page, too, when it cannot do what it is asked."""

        async def answer(request: Request) -> Response:
            try:
                return await page(request)
            except (PageError, UnknownItemError, UserError, ValidationError) as error:
                status, message = _fault(error)
            except (LogError, StoreError) as error:
                logger.error("the storefront could not answer: %s", error)
                status, message = 503, "The shop cannot do this now. Try again in a moment."
            visitor = self._visitor(request)
            return self._page(request, visitor, "error.html", [], status, message=message)

        return answer

    def _visitor(self, request: Request) -> Visitor:
        visitor = Visitor.of_cookie(request.cookies.get(COOKIE), self._may_choose)
        if caller := getattr(request.state, "caller", None):
            caller.note(visitor.user, visitor.session)  # so that no log names them
        return visitor

    async def _shopper(self, visitor: Visitor) -> Shopper | None:
        """What is known of a visitor; None where the store does not answer."""
        try:
            return await self._gateway.user(visitor.key)
        except StoreError:
            return None

    def _seen(self, shopper: Shopper | None) -> list[Item]:
        """The items that a shopper was at last, the newest first, as the service remembers them."""
        for value in shopper.features.values() if shopper else ():
            found = {one: item for one in _strings(value)[::-1] if (item := self._found(one))}
            if found:
                return list(found.values())[:_MOST_REMEMBERED]
        return []

    def _found(self, item: str) -> Item | None:
        try:
            return self._gateway.item(item)
        except UnknownItemError:
            return None

    def _page(
        self,
        request: Request,
        visitor: Visitor,
        template: str,
        shelves: Sequence[Shelf],
        status: int = 200,
        **content: Any,
    ) -> Response:
        text = (
            environment()
            .get_template(template)
            .render(
                visitor=visitor,
                shoppers=self._shoppers,
                may_choose=self._may_choose,
                shelves=shelves,
                fallbacks=_fallbacks(shelves),
                here=_here(request),
                done=self._done(visitor),
                **content,
            )
        )
        response = HTMLResponse(text, status, _HEADERS)
        _remember(request, response, visitor.silent())
        return response

    def _done(self, visitor: Visitor) -> Mapping[str, str] | None:
        """What the visitor did last, for the page to say."""
        if visitor.said is None:
            return None
        action, item = visitor.said
        found = self._found(item)
        return {"action": action, "name": found.name} if found else None

    def _back(self, request: Request, visitor: Visitor, address: str) -> Response:
        response = RedirectResponse(within_shop(address), 303, _HEADERS)
        _remember(request, response, visitor)
        return response


def _remember(request: Request, response: Response, visitor: Visitor) -> None:
    if (text := visitor.cookie()) != request.cookies.get(COOKIE):
        response.set_cookie(
            COOKIE,
            text,
            max_age=_COOKIE_SECONDS,
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="lax",
        )


def _fault(error: Exception) -> tuple[int, str]:
    """Status and message of what a visitor sent and cannot be answered."""
    if isinstance(error, PageError):
        return error.status, error.message
    if isinstance(error, UnknownItemError):
        return 404, f"There is no such item here: {', '.join(error.items)}"
    if isinstance(error, ValidationError):
        problem = error.errors(include_url=False)[0]
        return 422, f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"
    return 422, str(error)


def _fallbacks(shelves: Sequence[Shelf]) -> list[str]:
    """What stands in on a page, each once."""
    found = (one for shelf in shelves if shelf.slate for one in shelf.slate.fallbacks)
    return list(dict.fromkeys(found))


def _here(request: Request) -> str:
    """The page's own address, to come back to."""
    path = request.scope["raw_path"].decode("latin-1")  # as it came, for ids may have slashes
    return f"{path}?{request.url.query}" if request.url.query else path


def _is_looked_at(request: Request) -> bool:
    """Whether a person opens a page of this shop, and no browser ahead of one, nor another site."""
    ahead = "prefetch" in request.headers.get("sec-purpose", "")
    return (
        request.method == "GET"
        and not ahead
        and (request.headers.get("sec-fetch-site", "none") in ("none", "same-origin"))
    )


def _strings(value: object) -> list[str]:
    if not isinstance(value, list | tuple):
        return []
    return [one for one in value if isinstance(one, str)]
