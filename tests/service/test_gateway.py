"""What a gateway answers; everything but the models is as it is in the service."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from gateway_shop import (
    COMPANIONS,
    IDS,
    MODEL,
    NAMES,
    ToyModels,
    make_gateway,
    make_online,
    toy_score,
    write_catalogue,
)

from tfrec.errors import UserError
from tfrec.service.api import GuideRequest, RecommendationRequest, Slate
from tfrec.service.feature_store import StoreError
from tfrec.service.gateway import Gateway, UnknownItemError
from tfrec.service.sqlite_store import SqliteStore

T = TypeVar("T")
DOWN = RuntimeError("away")
UNRANKED = ["gather", "sources", "merge", "filter"]
UNCACHED = {"cache": {"entries": 0}}


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(asyncio.wait_for(work, 60))


async def slate(gateway: Gateway, **request: Any) -> Slate:
    return await gateway.recommend(RecommendationRequest.model_validate(request))


def within(folder: Path, ask: Callable[[Gateway], Awaitable[T]], **settings: Any) -> T:
    """Opens a gateway, has it asked, and closes it."""

    async def work() -> T:
        gateway = make_gateway(folder, **settings)
        try:
            return await ask(gateway)
        finally:
            await gateway.close()

    return run(work())


async def buy(gateway: Gateway, user: str, *items: str) -> None:
    rows = [
        {"id": f"{user}-{place}-{item}", "type": "purchase", "user": user, "item": item}
        for place, item in enumerate(items)
    ]
    for verdict in await gateway.take_events(rows):
        assert verdict.status == "accepted", verdict


def ids(found: Slate) -> list[str]:
    return [item.id for item in found.items]


@pytest.fixture(scope="module")
def models() -> ToyModels:
    return ToyModels()


@pytest.fixture(scope="module")
def gateway(models: ToyModels, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway that tests only ask; `regular` has bought `item-00` twice, and then `item-12`."""
    folder = tmp_path_factory.mktemp("gateway")
    opened = make_gateway(folder, models, resilience=UNCACHED)
    run(buy(opened, "regular", "item-00", "item-00", "item-12"))
    yield opened
    run(opened.close())


def test_home_is_what_the_ranking_model_puts_first(gateway: Gateway) -> None:
    found = run(slate(gateway, user="ann", k=5))

    scores = [toy_score("click", "ann", one) for one in ids(found)]
    assert scores == sorted(scores, reverse=True)
    assert [item.scores["click"] for item in found.items] == pytest.approx(scores)
    assert [item.position for item in found.items] == [1, 2, 3, 4, 5]
    assert found.models == {MODEL: "1"}
    assert (found.fallbacks, found.emptied_by, found.cached) == ((), None, False)
    assert set(found.timings) == {
        "gather", "sources", "merge", "filter", "rank", "value", "rerank", "explain"
    }  # fmt: skip


def test_items_have_names_and_features_for_people(gateway: Gateway) -> None:
    found = run(slate(gateway, scenario="similar", items=["item-04"], k=1))

    (item,) = found.items
    number = IDS.index(item.id)
    assert item.name == NAMES[number]
    assert item.features["aisle"] == "aisle-4"
    assert item.features["price"] == 1.0 + number / 4


def test_similar_items_are_of_the_same_kind_without_the_item_itself(gateway: Gateway) -> None:
    found = run(slate(gateway, scenario="similar", items=["item-03"], k=4, explain=True))

    assert {IDS.index(one) % 5 for one in ids(found)} == {3}
    assert "item-03" not in ids(found)
    assert {item.why for item in found.items} == {"Similar to cheese no. 3"}


def test_complementary_items_go_with_the_basket(gateway: Gateway, models: ToyModels) -> None:
    models.asked.clear()

    found = run(
        slate(gateway, scenario="complementary", items=["item-00", "item-12"], explain=True)
    )

    assert models.asked.count((COMPANIONS, "recommend")) == 2
    assert {"item-01", "item-13"} <= set(ids(found))
    assert {(item.reason, item.why) for item in found.items} == {
        ("goes_with:item-00", "Goes with milk no. 0"),
        ("goes_with:item-12", "Goes with beer no. 12"),
    }
    assert not {"item-00", "item-12"} & set(ids(found))


def test_reorder_is_what_the_shopper_had_often_and_lately(gateway: Gateway) -> None:
    found = run(slate(gateway, scenario="reorder", user="regular", explain=True))

    assert ids(found) == ["item-00", "item-12"]
    assert {item.reason for item in found.items} == {"buy_again"}


def test_search_finds_by_words(gateway: Gateway) -> None:
    found = run(slate(gateway, scenario="search", query="cheese", k=3, explain=True))

    assert [one.partition(" ")[0] for one in [item.name for item in found.items]] == ["cheese"] * 3
    assert found.items[0].why == "Found for “cheese”"


def test_the_shoppers_own_history_is_in_the_reasons(gateway: Gateway) -> None:
    found = run(slate(gateway, user="regular", explain=True, k=20))

    by_model = [item for item in found.items if item.source == "retrieval"]
    assert {item.reason for item in by_model} == {"because_you_bought:item-12"}
    assert {item.why for item in by_model} == {f"Because you bought {NAMES[12]}"}
    assert all(item.why for item in found.items)


def test_a_reason_is_given_to_who_asks_for_it_only(gateway: Gateway) -> None:
    found = run(slate(gateway, user="ann"))

    assert {(item.reason, item.why) for item in found.items} == {(None, None)}


def test_an_unknown_shopper_gets_a_cold_start_answer(gateway: Gateway) -> None:
    nobody = run(slate(gateway))
    stranger = run(slate(gateway, user="never seen"))
    visitor = run(slate(gateway, session="s1", recent=["item-00", "no such item"]))

    for found in (nobody, stranger, visitor):
        assert len(found.items) == 10
        assert found.fallbacks == ()
    assert ids(stranger) != ids(nobody)


def test_recent_items_stand_in_for_events_that_were_not_sent(gateway: Gateway) -> None:
    found = run(slate(gateway, scenario="reorder", session="s2", recent=["item-03", "item-04"]))

    assert ids(found) == ["item-04", "item-03"]


@pytest.mark.parametrize("scenario", ["similar", "complementary"])
def test_an_unknown_item_is_named(gateway: Gateway, scenario: str) -> None:
    with pytest.raises(UnknownItemError, match="no such item: nothing, nowhere") as caught:
        run(slate(gateway, scenario=scenario, items=["item-00", "nothing", "nowhere"]))

    assert caught.value.items == ("nothing", "nowhere")


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"filters": {"only": {"colour": ["red"]}}}, "filters.only: 'colour' is no feature"),
        ({"filters": {"without": {"weight": ["1"]}}}, "known: aisle, brand, tags"),
        ({"filters": {"most": {"aisle": 3}}}, "known: weight, price, margin, stock"),
        ({"filters": {"flags": ["gluten"]}}, "known: nuts, alcohol"),
        (
            {"context": {"moon": "full"}},
            "context.moon: no such feature; known: weekday, device, hour_sent",
        ),
        ({"context": {"device": 3}}, "context.device: 3.0: no text"),
        ({"context": {"device": ["a", "b"]}}, r"context.device: \('a', 'b'\): no text"),
        ({"context": {"hour_sent": "noon"}}, "context.hour_sent: 'noon': no number"),
    ],
)
def test_what_there_is_not_is_refused_by_its_name(
    gateway: Gateway, request_: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        run(slate(gateway, user="ann", **request_))


def test_filters_and_exclusions_hold_on_every_shelf(gateway: Gateway) -> None:
    filters = {
        "only": {"aisle": ["aisle-0", "aisle-2"]}, "without": {"brand": ["Acme"]},
        "least": {"price": 2}, "most": {"price": 9}, "flags": ["alcohol"],
    }  # fmt: skip
    for asked in (
        {"scenario": "home", "user": "ann"},
        {"scenario": "similar", "items": ["item-05"]},
        {"scenario": "search", "query": "milk"},
    ):
        found = run(slate(gateway, filters=filters, exclude=["item-10"], k=30, **asked))
        numbers = [IDS.index(one) for one in ids(found)]
        assert numbers
        assert {number % 5 for number in numbers} == {0}
        assert all(number % 3 and 4 <= number <= 32 and number != 10 for number in numbers)


def test_what_is_out_of_stock_is_shown_to_who_asks_for_it_only(gateway: Gateway) -> None:
    asked = {"scenario": "similar", "items": ["item-03"], "k": 30}

    usually = run(slate(gateway, **asked))
    also = run(slate(gateway, filters={"in_stock": False}, **asked))

    assert "item-08" not in ids(usually)
    assert "item-08" in ids(also)


@pytest.mark.parametrize(
    ("filters", "emptied_by"),
    [
        ({"least": {"price": 5}, "most": {"price": 4}}, "most: price"),
        ({"only": {"aisle": ["aisle-9"]}}, "only: aisle"),
        ({"only": {"brand": ["Acme"]}, "without": {"brand": ["Acme"]}}, "without: brand"),
    ],
)
@pytest.mark.parametrize("scenario", ["home", "search"])
def test_contradictory_filters_leave_an_empty_slate_that_names_the_filter(
    gateway: Gateway, filters: dict[str, Any], emptied_by: str, scenario: str
) -> None:
    found = run(slate(gateway, scenario=scenario, query="beer", user="ann", filters=filters))

    assert found.items == ()
    assert found.emptied_by == emptied_by


def test_a_slate_that_filters_leave_short_is_filled_with_what_is_popular(tmp_path: Path) -> None:
    home = {"sources": [{"kind": "retrieval", "count": 1}], "stand_ins": [{"kind": "popular"}]}
    flow = {"scenarios": {"home": {**home, "steps": UNRANKED}}}

    found = within(tmp_path, lambda gateway: slate(gateway, user="ann", k=6), flow=flow)

    assert len(found.items) == 6
    assert [item.source for item in found.items] == ["retrieval", *["popular"] * 5]
    assert found.fallbacks == ()


def test_own_events_are_seen_by_the_next_request(tmp_path: Path) -> None:
    async def ask(gateway: Gateway) -> tuple[Slate, Slate, Slate]:
        await buy(gateway, "ann", "item-03")
        before = await slate(gateway, scenario="reorder", user="ann")
        again = await slate(gateway, scenario="reorder", user="ann")
        await buy(gateway, "ann", "item-04", "item-04")
        return before, again, await slate(gateway, scenario="reorder", user="ann")

    before, again, after = within(tmp_path, ask)

    assert ids(before) == ids(again) == ["item-03"]
    assert (before.cached, again.cached, after.cached) == (False, True, False)
    assert before.request_id != again.request_id
    assert ids(after) == ["item-04", "item-03"]


def test_another_shoppers_events_leave_a_cached_slate(tmp_path: Path) -> None:
    async def ask(gateway: Gateway) -> Slate:
        await slate(gateway, user="ann")
        await buy(gateway, "bob", "item-04")
        return await slate(gateway, user="ann")

    assert within(tmp_path, ask).cached


def test_equal_requests_at_the_same_time_share_one_answer(tmp_path: Path) -> None:
    models = ToyModels()

    async def ask(gateway: Gateway) -> list[Slate]:
        return await asyncio.gather(*(slate(gateway, user="ann") for _ in range(5)))

    found = within(tmp_path, ask, models=models)

    assert models.asked.count((MODEL, "recommend")) == 1
    assert len({one.request_id for one in found}) == 5
    assert len({tuple(ids(one)) for one in found}) == 1


def test_hidden_items_are_not_shown_again(tmp_path: Path) -> None:
    async def ask(gateway: Gateway) -> tuple[Slate, Slate]:
        first = await slate(gateway, user="ann", k=5)
        hide = {"id": "h", "type": "hide", "user": "ann", "item": first.items[0].id}
        await gateway.take_events([hide])
        return first, await slate(gateway, user="ann", k=5)

    first, second = within(tmp_path, ask)

    assert ids(second)[:4] == ids(first)[1:]


def test_a_shopper_who_is_erased_is_unknown(tmp_path: Path) -> None:
    async def ask(gateway: Gateway) -> tuple[bool, bool, bool, Slate]:
        await buy(gateway, "ann", "item-03")
        known = (await gateway.user("ann")).is_known
        await slate(gateway, scenario="reorder", user="ann")
        was_known = await gateway.erase("ann")
        left = (await gateway.user("ann")).is_known
        return known, was_known, left, await slate(gateway, scenario="reorder", user="ann")

    known, was_known, left, after = within(tmp_path, ask)

    assert (known, was_known, left) == (True, True, False)
    assert after.items == ()


def test_an_item_is_described_and_an_unknown_one_is_named(gateway: Gateway) -> None:
    assert gateway.item("item-05").name == "milk no. 5"
    with pytest.raises(UnknownItemError, match="no such item: nothing"):
        gateway.item("nothing")


def test_the_guide_answers_with_a_slate(gateway: Gateway) -> None:
    reply = run(gateway.guide(GuideRequest(message="cheese under 5 dollars", k=3)))

    assert reply.slate.items
    assert all(float(item.features["price"] or 9) <= 5 for item in reply.slate.items)


# What stands in where a part does not answer.


def test_without_the_ranker_the_order_is_that_of_retrieval(tmp_path: Path) -> None:
    models = ToyModels(faults={"rank": DOWN})
    flow = {"scenarios": {"home": {"sources": [{"kind": "retrieval"}]}}}

    found = within(
        tmp_path, lambda gateway: slate(gateway, user="ann", k=5), models=models, flow=flow
    )

    assert found.fallbacks == ("ranker: retrieval order",)
    scores = [toy_score("recommend", "ann", one) for one in ids(found)]
    assert len(scores) == 5
    assert scores == sorted(scores, reverse=True)


def test_without_retrieval_other_sources_stand_in(tmp_path: Path) -> None:
    models = ToyModels(faults={"recommend": DOWN})
    flow = {
        "scenarios": {
            "home": {
                "sources": [{"kind": "retrieval"}],
                "stand_ins": [{"kind": "item_to_item"}, {"kind": "popular"}],
                "steps": UNRANKED,
            }
        }
    }

    async def ask(gateway: Gateway) -> Slate:
        await buy(gateway, "ann", "item-00")
        return await slate(gateway, user="ann")

    found = within(tmp_path, ask, models=models, flow=flow)

    assert found.fallbacks == ("retrieval: item_to_item and popular",)
    assert {item.source for item in found.items} == {"item_to_item", "popular"}


class AwayStore(SqliteStore):
    """A store that does not answer."""

    def find(self, user: str, moment: Any = None) -> Any:
        raise StoreError("away")


def test_without_the_store_the_answer_is_that_to_a_stranger(tmp_path: Path) -> None:
    online = make_online(write_catalogue(tmp_path))
    store = AwayStore(tmp_path / "features.sqlite", online)

    async def ask(gateway: Gateway) -> tuple[Slate, Slate]:
        home = await slate(gateway, user="ann", recent=["item-00"])
        return home, await slate(gateway, scenario="reorder", user="ann")

    home, reorder = within(tmp_path, ask, store=store)

    assert home.fallbacks == reorder.fallbacks == ("store: cold start",)
    assert len(home.items) == len(reorder.items) == 10
    assert {item.source for item in reorder.items} == {"popular"}


def test_without_anything_outside_every_shelf_has_an_answer(tmp_path: Path) -> None:
    online = make_online(write_catalogue(tmp_path))
    store = AwayStore(tmp_path / "features.sqlite", online)
    models = ToyModels(faults={"recommend": DOWN, "rank": DOWN, "explain": DOWN})

    async def ask(gateway: Gateway) -> list[Slate]:
        return [
            await slate(gateway, user="ann", explain=True, **asked)
            for asked in (
                {"scenario": "home"},
                {"scenario": "similar", "items": ["item-00"]},
                {"scenario": "complementary", "items": ["item-00"]},
                {"scenario": "reorder"},
                {"scenario": "promotions"},
                {"scenario": "search", "query": "milk"},
            )
        ]

    for found in within(tmp_path, ask, store=store, models=models):
        assert found.items, found.scenario
        assert all(item.why for item in found.items)
        assert "store: cold start" in found.fallbacks


def test_what_stands_in_is_not_cached(tmp_path: Path) -> None:
    models = ToyModels(faults={"rank": DOWN})

    async def ask(gateway: Gateway) -> tuple[Slate, Slate]:
        first = await slate(gateway, user="ann")
        models.faults.clear()
        return first, await slate(gateway, user="ann")

    first, second = within(tmp_path, ask, models=models)

    assert first.fallbacks
    assert (second.fallbacks, second.cached) == ((), False)


def test_a_part_that_fails_again_and_again_is_left_alone_and_told_of(tmp_path: Path) -> None:
    models = ToyModels(faults={"rank": DOWN})

    async def ask(gateway: Gateway) -> Any:
        for user in range(8):
            await slate(gateway, user=str(user))
        return gateway.readiness()

    patient = {"breaker": {"recover": "60s"}}
    readiness = within(tmp_path, ask, models=models, resilience=patient)

    assert models.asked.count((MODEL, "rank")) == 5
    assert readiness.ready
    assert readiness.parts["ranker"].startswith("left alone after failures")
    assert readiness.parts["store"] == "ok"


# Experiments.


def test_an_arm_changes_what_its_shoppers_get(tmp_path: Path) -> None:
    running = {
        "value": {"arms": {"clicks": {}, "sales": {"flow": {"value": "conversion * price"}}}}
    }

    async def ask(gateway: Gateway) -> list[Slate]:
        return [await slate(gateway, user=f"user-{number}", k=5) for number in range(8)]

    found = within(tmp_path, ask, experiments={"running": running})

    assert {one.arms["value"] for one in found} == {"clicks", "sales"}
    for number, one in enumerate(found):
        worth = [
            item.scores["conversion"] * float(item.features["price"] or 0)
            if one.arms["value"] == "sales"
            else toy_score("click", f"user-{number}", item.id)
            for item in one.items
        ]
        assert worth == sorted(worth, reverse=True)


def test_an_arm_that_names_what_there_is_not_is_refused_at_the_start(tmp_path: Path) -> None:
    running = {"value": {"arms": {"a": {}, "b": {"flow": {"value": "clicks"}}}}}

    with pytest.raises(UserError, match=r"experiments.value.arms.b.flow: value: 'clicks'"):
        make_gateway(tmp_path, experiments={"running": running})


def test_two_rankings_are_dealt_into_one_slate(tmp_path: Path) -> None:
    running = {
        "teams": {
            "arms": {
                "clicks": {"weight": 0},
                "sales": {"weight": 0, "flow": {"value": "conversion"}},
                "both": {"interleave": ["clicks", "sales"]},
            }
        }
    }

    found = within(
        tmp_path, lambda gateway: slate(gateway, user="ann", k=6, explain=True),
        experiments={"running": running},
    )  # fmt: skip

    assert found.arms == {"teams": "both"}
    assert len(set(ids(found))) == 6
    assert all(0 < item.propensity <= 1 for item in found.items)
    firsts = {max(IDS, key=lambda one: toy_score(task, "ann", one)) for task in ("click",)}
    assert firsts & set(ids(found)[:2])


def test_what_is_shown_is_logged_with_its_chance(tmp_path: Path) -> None:
    exploration = {"kind": "epsilon_greedy", "epsilon": 0.5, "places": [2], "candidates": 4}

    async def ask(gateway: Gateway) -> list[Slate]:
        return [await slate(gateway, user=f"user-{number}", k=3) for number in range(6)]

    found = within(tmp_path, ask, experiments={"exploration": exploration}, resilience=UNCACHED)

    lines = [
        line
        for file in (tmp_path / "service" / "events").glob("*.jsonl")
        for line in file.read_text().splitlines()
        if '"impression"' in line
    ]
    assert len(lines) == 18
    second = {one.items[1].propensity for one in found}
    assert second <= {0.5, 0.125}
    assert {one.items[0].propensity for one in found} == {1.0}
