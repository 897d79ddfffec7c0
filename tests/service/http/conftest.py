"""A gateway that answers as it is told to, and a client of it."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from asking import Asking

from tfrec.service.api import (
    Filters,
    GuideReply,
    GuideRequest,
    RecommendationRequest,
    Slate,
    SlateItem,
    Understood,
)
from tfrec.service.feature_store import Shopper
from tfrec.service.gateway import Gateway, Item, Readiness, UnknownItemError
from tfrec.service.http.app import make_app
from tfrec.service.http.config import HttpConfig
from tfrec.service.intake import Verdict

TEA = SlateItem(id="tea", name="Tea", position=1, score=float("nan"), source="popular")
HEARD: dict[str, Any] = {"recent": ["tea"]}


class ToldGateway(Gateway):
    """Answers at once.

    Attributes:
      fault: is raised instead, by all that can fail.
      asked: what was asked for.
      ready: whether it is.
    """

    def __init__(self) -> None:
        self.fault: Exception | None = None
        self.asked: list[Any] = []
        self.ready = True

    def _hear(self, asked: Any) -> None:
        self.asked.append(asked)
        if self.fault:
            raise self.fault

    async def recommend(self, request: RecommendationRequest) -> Slate:
        self._hear(request)
        timings = {"gather": 0.25, "rank (200)": 1.5}
        is_old = request.k == 7
        return Slate(
            request_id="r1", scenario=request.scenario, items=(TEA,), timings=timings, cached=is_old
        )

    async def guide(self, request: GuideRequest) -> GuideReply:
        self._hear(request)
        slate = Slate(request_id="r2", scenario="search", items=(TEA,))
        understood = Understood(about="tea", filters=Filters())
        return GuideReply(sentence="Tea.", slate=slate, understood=understood, conversation="1")

    async def take_events(self, rows: Sequence[object]) -> list[Verdict]:
        self._hear(rows)
        return [
            Verdict(row["id"], "accepted")
            if isinstance(row, dict)
            else Verdict(None, "rejected", "not an object")
            for row in rows
        ]

    async def user(self, user: str) -> Shopper:
        self._hear(user)
        hidden = ["wine"] if user == "hider" else []
        return Shopper(user, user.startswith("user"), HEARD, hidden, {"click": 1}, 1000)

    async def erase(self, user: str) -> bool:
        self._hear(user)
        return user.startswith("user")

    def item(self, item: str) -> Item:
        self._hear(item)
        if item != "tea/green":
            raise UnknownItemError([item])
        return Item(item, "Green tea", {"price": float("nan"), "aisle": "drinks"})

    def readiness(self) -> Readiness:
        return Readiness(self.ready, {"store": "ok" if self.ready else "does not answer"})

    def arms(self, user: str | None, session: str | None) -> dict[str, Any]:
        return {"shelf": "new"}


@pytest.fixture
def gateway() -> ToldGateway:
    return ToldGateway()


@pytest.fixture
def ask(gateway: ToldGateway) -> Iterator[Callable[..., Asking]]:
    """Makes clients of the gateway behind HTTP: `ask(config, address=..., host=...)`."""
    made: list[Asking] = []

    def make(config: HttpConfig | None = None, **client: Any) -> Asking:
        made.append(Asking(make_app(gateway, config or HttpConfig()), **client))
        return made[-1]

    yield make
    for one in made:
        one.close()
