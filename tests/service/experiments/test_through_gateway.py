"""Experiments of a gateway, from the request to the log."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson
import yaml
from gateway_shop import make_gateway

from tfrec.service.api import RecommendationRequest, Slate
from tfrec.service.gateway import Gateway

Rows = list[dict[str, Any]]
RANKER = {
    "arms": {
        "old": {"flow": {"value": "click"}},
        "new": {"flow": {"value": "0 - click"}},
        "both": {"weight": 2, "interleave": ["old", "new"]},
    }
}


def run(
    folder: Path,
    ask: Callable[[Gateway], Awaitable[list[Slate]]],
    flow: dict[str, Any] | None = None,
    **experiments: Any,
) -> tuple[list[Slate], Rows]:
    """Asks a gateway, and returns what it answered and what it logged."""

    async def within() -> list[Slate]:
        gateway = make_gateway(folder, experiments=experiments, flow=flow or {})
        try:
            return await ask(gateway)
        finally:
            await gateway.close()

    slates = asyncio.run(within())
    files = sorted((folder / "service" / "events").glob("events-*.jsonl"))
    return slates, [orjson.loads(line) for file in files for line in file.read_bytes().splitlines()]


async def home(gateway: Gateway, user: str | None, **fields: Any) -> Slate:
    return await gateway.recommend(RecommendationRequest(scenario="home", user=user, **fields))


def test_slate_is_logged_as_it_was_shown(tmp_path: Path) -> None:
    async def ask(gateway: Gateway) -> list[Slate]:
        return [await home(gateway, f"shopper-{number}", k=5) for number in range(12)]

    explores = {"kind": "plackett_luce", "temperature": 2.0}
    slates, rows = run(tmp_path, ask, running={"ranker": RANKER}, exploration=explores)

    told = {row["id"]: row for row in rows}
    assert len(told) == len(rows) == 60
    for slate in slates:
        arm = slate.arms["ranker"]
        for item in slate.items:
            row = told[f"{slate.request_id}.{item.position}"]
            assert (row["item"], row["propensity"]) == (item.id, item.propensity)
            assert (row["arm"], row["scenario"]) == (f"ranker={arm}", "home")
            assert (row["team"] in ("ranker=old", "ranker=new")) == (arm == "both")
    drawn = [one.propensity for slate in slates for one in slate.items]
    assert 0 < min(drawn) < max(drawn) <= 1
    assert {slate.arms["ranker"] for slate in slates} == {"old", "new", "both"}


def test_pinned_item_keeps_its_place_where_rankings_are_interleaved_and_is_of_no_team(
    tmp_path: Path,
) -> None:
    async def ask(gateway: Gateway) -> list[Slate]:
        return [await home(gateway, f"shopper-{number}", k=5) for number in range(12)]

    pins = {"rerank": {"pins": {2: "item-30", 4: "item-03"}}}
    slates, rows = run(tmp_path, ask, flow=pins, running={"ranker": RANKER})

    told = {row["id"]: row for row in rows}
    dealt = [slate for slate in slates if slate.arms["ranker"] == "both"]
    assert len({tuple(item.id for item in slate.items) for slate in dealt}) > 1
    for slate in dealt:
        items = slate.items
        assert (len({item.id for item in items}), items[1].id, items[3].id) == (
            5, "item-30", "item-03",
        )  # fmt: skip
        teams = [told[f"{slate.request_id}.{item.position}"].get("team") for item in items]
        assert (teams[1], teams[3]) == (None, None)
        assert set(teams) - {None} <= {"ranker=old", "ranker=new"}
        assert teams.count(None) == 2
        assert (items[1].propensity, items[3].propensity) == (1.0, 1.0)


def test_arms_order_the_shelf_as_they_say(tmp_path: Path) -> None:
    async def ask(gateway: Gateway) -> list[Slate]:
        return [await home(gateway, f"shopper-{number}", k=6) for number in range(12)]

    slates, _ = run(tmp_path, ask, running={"ranker": RANKER})

    for slate in slates:
        clicks = [item.scores["click"] for item in slate.items]
        if slate.arms["ranker"] == "old":
            assert clicks == sorted(clicks, reverse=True)
        elif slate.arms["ranker"] == "new":
            assert clicks == sorted(clicks)
        else:
            assert max(clicks) > 0.8
            assert min(clicks) < 0.2


def test_clients_may_log_what_they_show(tmp_path: Path) -> None:
    async def ask(gateway: Gateway) -> list[Slate]:
        return [await home(gateway, "ann")]

    (slate,), rows = run(tmp_path, ask, running={"ranker": RANKER}, log="clients")

    assert slate.items
    assert rows == []


def test_changed_file_changes_the_next_slate(tmp_path: Path) -> None:
    path = tmp_path / "experiments.yaml"

    def write(value: str) -> None:
        content = {"experiments": {"ranker": {"arms": {"only": {"flow": {"value": value}}}}}}
        beside = tmp_path / "beside.yaml"
        beside.write_text(yaml.safe_dump(content))
        beside.replace(path)

    async def ask(gateway: Gateway) -> list[Slate]:
        before = await home(gateway, "ann", k=5)
        write("0 - click")
        slates = [before]
        for _ in range(1200):
            slates.append(await home(gateway, "ann", k=5))
            if slates[-1].items[0].id != before.items[0].id:
                return [before, slates[-1]]
            await asyncio.sleep(0.05)
        raise AssertionError("the file is not read again")

    write("click")
    (before, after), _ = run(tmp_path, ask, file=str(path))

    clicks = [[item.scores["click"] for item in slate.items] for slate in (before, after)]
    assert clicks == [sorted(clicks[0], reverse=True), sorted(clicks[1])]
    assert before.arms == after.arms == {"ranker": "only"}
