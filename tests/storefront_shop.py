"""A gateway that answers at once from a few items, and what a page of the storefront holds."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

from tfrec.errors import UserError
from tfrec.service.api import (
    Filters,
    GuideReply,
    GuideRequest,
    RecommendationRequest,
    Slate,
    SlateItem,
    Understood,
)
from tfrec.service.events import ANONYMOUS, check_events
from tfrec.service.feature_store import Shopper, StoreError
from tfrec.service.gateway import Gateway, Item, UnknownItemError
from tfrec.service.intake import Verdict

NAMES = {
    "bread": "WHITE BREAD 20 OZ",
    "milk": "MILK 1 GA",
    "wine": "Wine & <b>more</b>",
    "../a/b c?": "An id like an address",
}
EVIL = '"><script>alert(1)</script>'
PRICES = {"bread": 2.5}


class FewItems(Gateway):
    """Shelves hold everything that the shopper has neither bought nor hidden.

    Attributes:
      events: that came in, as they were sent.
      asked: requests for slates.
      guided: requests to the guide.
      fallbacks: that every slate names.
      is_down: whether the feature store does not answer.
      unready: scenarios that are not set up.
    """

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.asked: list[RecommendationRequest] = []
        self.guided: list[GuideRequest] = []
        self.fallbacks: tuple[str, ...] = ()
        self.is_down = False
        self.unready: set[str] = set()
        self.names = {**NAMES, "evil": EVIL}

    async def recommend(self, request: RecommendationRequest) -> Slate:
        if missing := [item for item in request.items if item not in self.names]:
            raise UnknownItemError(missing)
        if request.scenario in self.unready:
            raise UserError(f"scenario: {request.scenario} needs a section that is missing")
        self.asked.append(request)
        gone = self._gone(request.user, request.session)
        kept = [item for item in self.names if item not in gone][: request.k]
        items = tuple(self._slate_item(item, place) for place, item in enumerate(kept, 1))
        return Slate(
            request_id="5" * 32, scenario=request.scenario, items=items, arms={"value": "margin"},
            models={"shop": "7"}, fallbacks=self.fallbacks, timings={"rank": 1.25},
        )  # fmt: skip

    async def guide(self, request: GuideRequest) -> GuideReply:
        self.guided.append(request)
        filters = Filters(
            most={"price": 10}, least={"rating": 3}, flags=("nuts",),
            only={"aisle": ("BAKERY",)}, without={"brand": ("Acme",)},
        )  # fmt: skip
        slate = await self.recommend(RecommendationRequest(scenario="search", query="x", k=2))
        understood = Understood(about=request.message, filters=filters, not_understood=("zyx",))
        said = f"Two for {request.message}."
        return GuideReply(sentence=said, slate=slate, understood=understood, conversation="talk")

    async def take_events(self, rows: Sequence[Any]) -> list[Verdict]:
        verdicts = []
        known = {event["id"] for event in self.events}
        for row, checked in zip(rows, check_events(rows, 1e9), strict=True):
            if isinstance(checked, str):
                verdicts.append(Verdict(row["id"], "rejected", checked))
                continue
            status = "duplicate" if row["id"] in known else "accepted"
            verdicts.append(Verdict(row["id"], status))
            self.events += [row] if status == "accepted" else []
        return verdicts

    async def user(self, user: str) -> Shopper:
        if self.is_down:
            raise StoreError("away")
        session = user.removeprefix(ANONYMOUS) if user.startswith(ANONYMOUS) else None
        mine = self._of(user, session)
        features = {"aisles": ["bakery"], "recent": [event["item"] for event in mine]}
        return Shopper(user, bool(mine), features, [], {}, None)

    async def close(self) -> None:
        pass

    def item(self, item: str) -> Item:
        if item not in self.names:
            raise UnknownItemError([item])
        return Item(item, self.names[item], {"aisle": "BAKERY", "price": PRICES.get(item)})

    def _slate_item(self, item: str, place: int) -> SlateItem:
        found = self.item(item)
        return SlateItem(
            id=item, name=found.name, position=place, score=0.5, scores={"click": 0.25},
            source="popular", features=found.features, reason="popular",
            why=f"Many buy {found.name}", propensity=0.5, coupon="c1" if item == "milk" else None,
        )  # fmt: skip

    def _gone(self, user: str | None, session: str | None) -> set[str]:
        return {e["item"] for e in self._of(user, session) if e["type"] in ("purchase", "hide")}

    def _of(self, user: str | None, session: str | None) -> list[dict[str, Any]]:
        key = ("session", session) if session else ("user", user)
        return [event for event in self.events if event.get(key[0]) == key[1]]


@dataclass
class Element:
    """An element of a page, with all text in it."""

    tag: str
    attributes: dict[str, str]
    text: str = ""
    inside: list["Element"] = field(default_factory=list)

    def find(self, tag: str, **attributes: str) -> list["Element"]:
        """All elements in it of a tag with some attributes; `_` stands for a hyphen."""
        wanted = {name.strip("_").replace("_", "-"): text for name, text in attributes.items()}
        found = []
        for one in self.inside:
            if one.tag == tag and wanted.items() <= one.attributes.items():
                found.append(one)
            found += one.find(tag, **attributes)
        return found

    def fields(self) -> dict[str, str]:
        """What a form sends without its buttons."""
        return {
            one.attributes["name"]: one.attributes.get("value", "") for one in self.find("input")
        }


_EMPTY = {"meta", "link", "input", "br", "hr", "img", "path", "circle", "ellipse", "rect", "use"}


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open = [Element("", {})]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].inside.append(element)
        if tag not in _EMPTY:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].tag == tag, f"</{tag}> ends <{self.open[-1].tag}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        for element in self.open:
            element.text += data


def read_page(text: str) -> Element:
    """Reads a page; its tags have to be closed in their order."""
    reader = _Reader()
    reader.feed(text)
    assert len(reader.open) == 1, f"<{reader.open[-1].tag}> is not closed"
    return reader.open[0]


def shelf_items(page: Element, shelf: str) -> list[str]:
    """Ids of the items on a shelf of a page; empty where there is no such shelf."""
    found = page.find("section", data_shelf=shelf)
    tiles = found[0].find("li", class_="tile") if found else []
    return [tile.attributes["data-item"] for tile in tiles]
