"""The service of an experiment whose model runs in the process, and on a server."""

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet
import pytest
import tensorflow as tf
from shop import Shop
from toy_bundle import write_toy_bundle

from tfrec.config import validate
from tfrec.data.prepared import PreparedData
from tfrec.errors import UserError
from tfrec.service.api import RecommendationRequest, Slate
from tfrec.service.config import ServiceConfig
from tfrec.service.gateway import Gateway
from tfrec.serving import ModelServer
from tfrec.stages.experiment import Experiment, ExperimentConfig
from tfrec.stages.open_gateway import open_gateway

T = TypeVar("T")
PATIENT = {
    "request": "60s", "budgets": dict.fromkeys(("gather", "sources", "rank", "explain"), "30s"),
    "cache": {"entries": 0},
}  # fmt: skip
INPUTS = {
    name: tf.TensorSpec(shape, tf.string, name)
    for name, shape in (
        ("shopper", [None]), ("recent", [None, None]), ("channel", [None]), ("weekday", [None])
    )
}  # fmt: skip
SECONDS = 300


@pytest.fixture(scope="module")
def experiment(
    shop: Shop, prepared: PreparedData, tmp_path_factory: pytest.TempPathFactory
) -> Experiment:
    """An experiment that has prepared data and a toy bundle below its model root."""
    root = tmp_path_factory.mktemp("root")
    write_toy_bundle(prepared, INPUTS, root)
    content = shop.config(serving={"name": "toy", "root": str(root)})
    content |= {"runs": str(prepared.path.parents[1]), "name": prepared.path.parent.name}
    return Experiment(validate(ExperimentConfig, content))


def service(folder: Path, **content: Any) -> ServiceConfig:
    return validate(
        ServiceConfig, {"folder": str(folder), "resilience": PATIENT, **content}, "service"
    )


def within(
    experiment: Experiment, config: ServiceConfig, ask: Callable[[Gateway], Awaitable[T]]
) -> T:
    async def work() -> T:
        gateway = open_gateway(experiment, config)
        try:
            return await asyncio.wait_for(ask(gateway), SECONDS)
        finally:
            await gateway.close()

    return asyncio.run(work())


async def slate(gateway: Gateway, **request: Any) -> Slate:
    return await gateway.recommend(RecommendationRequest.model_validate(request))


def ids(found: Slate) -> list[str]:
    return [item.id for item in found.items]


async def every_shelf(gateway: Gateway) -> dict[str, Slate]:
    await gateway.take_events([{"id": "1", "type": "purchase", "user": "ann", "item": "sku-003"}])
    asked: list[dict[str, Any]] = [
        {"scenario": "home", "filters": {"only": {"aisle": ["aisle-1", "aisle-2"]}}},
        {"scenario": "similar", "items": ["sku-001"]},
        {"scenario": "complementary", "items": ["sku-001"]},
        {"scenario": "reorder"},
        {"scenario": "promotions"},
        {"scenario": "search", "query": "thing 7"},
    ]
    return {one["scenario"]: await slate(gateway, user="ann", **one) for one in asked}


def test_every_shelf_is_answered_here_and_by_a_server_alike(
    experiment: Experiment, tmp_path: Path
) -> None:
    here = within(experiment, service(tmp_path / "here"), every_shelf)
    with ModelServer({"toy": experiment.config.serving.root / "toy"}, port=0) as server:
        there = within(
            experiment,
            service(tmp_path / "there", server=f"grpc://127.0.0.1:{server.port}"),
            every_shelf,
        )

    for scenario, found in here.items():
        assert found.items, scenario
        assert found.fallbacks == there[scenario].fallbacks == ()
    for scenario in set(here) - {"home"}:  # which draws new items
        assert ids(here[scenario]) == ids(there[scenario])
    assert here["home"].models == there["home"].models == {"toy": "1"}
    assert {item.features["aisle"] for item in here["home"].items} == {"aisle-1", "aisle-2"}
    assert ids(here["reorder"]) == ["sku-003"]


def test_no_answer_fails_while_a_new_version_takes_over(
    experiment: Experiment, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    shutil.copytree(experiment.config.serving.root / "toy" / "1", root / "toy" / "1")
    serving = experiment.config.serving.model_copy(update={"root": root})
    moved = Experiment(experiment.config.model_copy(update={"serving": serving}))

    async def ask(gateway: Gateway) -> set[tuple[str, ...]]:
        fallbacks = set()
        shutil.copytree(root / "toy" / "1", root / "unfinished")
        (root / "unfinished").rename(root / "toy" / "2")
        while True:
            found = await slate(gateway, user="ann")
            fallbacks.add(found.fallbacks)
            if found.models["toy"] == "2":
                return fallbacks

    assert within(moved, service(tmp_path / "service"), ask) == {()}


def test_without_a_server_the_answer_names_what_stands_in(
    experiment: Experiment, tmp_path: Path
) -> None:
    budgets = {**PATIENT["budgets"], "sources": "3s"}
    config = service(
        tmp_path, server="grpc://127.0.0.1:1", resilience={**PATIENT, "budgets": budgets}
    )

    found = within(experiment, config, lambda gateway: slate(gateway))

    assert len(found.items) == 10
    assert "retrieval: item_to_item and popular" in found.fallbacks


def test_what_was_worked_out_is_kept_and_made_anew_where_it_is_broken(
    experiment: Experiment, tmp_path: Path
) -> None:
    async def ask(gateway: Gateway) -> list[str]:
        return ids(await slate(gateway, scenario="complementary", items=["sku-001"]))

    first = within(experiment, service(tmp_path), ask)
    (file,) = (tmp_path / "cache").glob("items-*.npz")
    written = file.stat().st_mtime_ns
    again = within(experiment, service(tmp_path), ask)
    assert file.stat().st_mtime_ns == written
    file.write_bytes(b"broken")
    anew = within(experiment, service(tmp_path), ask)

    assert first == again == anew
    assert file.stat().st_size > 100


@pytest.fixture
def tables(tmp_path: Path) -> dict[str, Any]:
    """Tables of two campaigns, of which `ann` is to get both and `bob` none."""
    pairs = {
        "user": ["ann", "ann", "ann", "bob"], "campaign": ["1", "2", "3", "1"],
        "uplift": [0.5, 2.0, 9.0, 1.0], "to_send": [True, True, False, False],
    }  # fmt: skip
    items = {
        "campaign": [1, 1, 2, 2, 2, 3, 2], "product": ["sku-005", "sku-004", "sku-009", "sku-003",
        "sku-002", "sku-001", "no such"], "upc": ["c1", "c1", "c2", "c2", "c3", "c4", "c5"],
    }  # fmt: skip
    pa.parquet.write_table(pa.table(pairs), tmp_path / "pairs.parquet")
    pa.parquet.write_table(pa.table(items), tmp_path / "items.parquet")
    return {
        "pairs": str(tmp_path / "pairs.parquet"), "source": str(tmp_path / "items.parquet"),
        "campaign": "campaign", "item": "product", "coupon": "upc",
    }  # fmt: skip


def test_promotions_are_those_that_change_most_for_the_shopper(
    experiment: Experiment, tmp_path: Path, tables: dict[str, Any]
) -> None:
    async def ask(gateway: Gateway) -> tuple[Slate, Slate]:
        await gateway.take_events(
            [{"id": "1", "type": "purchase", "user": "ann", "item": "sku-009"}]
        )
        ann = await slate(gateway, scenario="promotions", user="ann", k=5, explain=True)
        return ann, await slate(gateway, scenario="promotions", user="bob", k=5)

    ann, bob = within(experiment, service(tmp_path, promotions=tables), ask)

    assert [(item.id, item.coupon) for item in ann.items] == [
        # of campaign 2, one of each coupon in turn, what the shopper had first; then of campaign 1
        ("sku-009", "c2"), ("sku-002", "c3"), ("sku-003", "c2"), ("sku-004", "c1"),
        ("sku-005", "c1"),
    ]  # fmt: skip
    assert ann.items[0].reason == "coupon:c2"
    assert ann.items[0].why == "Coupon c2 for thing 9 9 g"
    assert {item.coupon for item in bob.items} == {None}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pairs": "nowhere.parquet"}, "service.promotions.pairs: nowhere.parquet: not there; run"),
        ({"item": "sku"}, "service.promotions.item: 'sku': no such column; there are campaign"),
        ({"item": "upc"}, "service.promotions.source: .*: no item is of the catalogue"),
    ],
)
def test_offers_that_cannot_be_read_are_refused(
    experiment: Experiment, tmp_path: Path, tables: dict[str, Any], change: Any, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        open_gateway(experiment, service(tmp_path, promotions={**tables, **change}))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"flow": {"category": "colour"}}, "service.flow.category: 'colour': no category"),
        ({"flow": {"rank": {"model": "other"}}}, "service.flow.rank.model: 'other': no version"),
        ({"flow": {"value": "clicks"}}, "value: 'clicks': no such number; known: "),
        ({"flow": {"rerank": {"caps": {"color": 2}}}}, "rerank.caps.color: 'color': no category"),
        ({"flow": {"rerank": {"pins": {1: "x"}}}}, "rerank.pins.1: 'x': not in the catalogue"),
        (
            {"flow": {"scenarios": {"home": {"sources": [{"kind": "promotions"}]}}}},
            "scenarios.home.sources: 'promotions': no offers are known",
        ),
    ],
)
def test_what_there_is_not_is_refused_at_the_start(
    experiment: Experiment, tmp_path: Path, content: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        open_gateway(experiment, service(tmp_path, **content))


def test_a_model_that_was_not_exported_is_named_with_what_to_run(
    experiment: Experiment, tmp_path: Path
) -> None:
    serving = experiment.config.serving.model_copy(update={"root": tmp_path / "nothing"})
    bare = Experiment(experiment.config.model_copy(update={"serving": serving}))

    with pytest.raises(UserError, match="export: not there yet; run `tfrec export CONFIG` first"):
        open_gateway(bare, service(tmp_path))
