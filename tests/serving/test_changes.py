import json
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import tensorflow as tf

from tfrec.config import validate
from tfrec.data.catalogue import Catalogue
from tfrec.retrieval.filters import ItemFilter
from tfrec.retrieval.partitioned import Partitioned
from tfrec.retrieval.reranking import Reranker, Rules
from tfrec.retrieval.saving import save_index
from tfrec.serving import Client, ModelServer
from tfrec.serving.changes import CHANGES_FILE, read_changes
from tfrec.serving.export import export_bundle
from tfrec.serving.live_items import LiveItems
from tfrec.serving.status import ServingError

ITEMS, DIM, SLOTS, SINCE = 30, 3, 40, 1000.0
KINDS = ["tea", "cake", "jam"]
RULES: dict[str, Any] = {
    "steps": [
        {"kind": "boost", "feature": "kind", "amounts": {"tea": 0.5}},
        {"kind": "cap", "feature": "kind", "limit": 2},
    ],
    "pinned": {"item-07": 1},
}


def style(row: int) -> list[float]:
    return np.random.default_rng(row).normal(size=DIM).round(3).tolist()


def save_model(path: Path) -> Path:
    """Queries and items are vectors already."""
    module = tf.Module()
    taste = {"taste": tf.TensorSpec([None, DIM], tf.float32, "taste")}
    item = {
        "sku": tf.TensorSpec([None], tf.string, "sku"),
        "kind": tf.TensorSpec([None], tf.string, "kind"),
        "tags": tf.TensorSpec([None, None], tf.string, "tags"),
        "price": tf.TensorSpec([None], tf.float32, "price"),
        "style": tf.TensorSpec([None, DIM], tf.float32, "style"),
    }

    @tf.function(input_signature=[taste])
    def embed_query(features: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return {"embedding": tf.identity(features["taste"])}

    @tf.function(input_signature=[item])
    def embed_item(features: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return {"embedding": tf.identity(features["style"])}

    module.embed_query, module.embed_item = embed_query, embed_item
    signatures = {"embed_query": embed_query, "embed_item": embed_item}
    tf.saved_model.save(module, str(path), signatures=signatures)
    return path


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One version with a filter, and one with rules besides."""
    folder = tmp_path_factory.mktemp("live")
    ids = [f"item-{row:02}" for row in range(ITEMS)]
    table = pa.table(
        {
            "_id": ids,
            "_name": ids,
            "kind": [KINDS[row % 3] for row in range(ITEMS)],
            "tags": pa.array([["old"]] * ITEMS, pa.list_(pa.string())),
            "price": pa.array(np.arange(ITEMS), pa.float32()),
        }
    )
    pa.parquet.write_table(table, folder / "items.parquet")
    vectors = np.array([style(row) for row in range(ITEMS)], np.float32)
    save_index(Partitioned(vectors), DIM, folder / "index")
    model, live = save_model(folder / "model"), LiveItems(SLOTS, "sku", SINCE)
    new, rules = np.arange(ITEMS) >= 25, validate(Rules, RULES, "reranking")
    reranker = Reranker(rules, Catalogue(folder / "items.parquet"), vectors, SLOTS)
    for name, ruled in (("filtered", None), ("ruled", reranker)):
        item_filter = ItemFilter(table, ("kind", "tags", "price"), new, SLOTS)
        path = folder / name
        export_bundle(model, folder / "index", ids, 3, path, item_filter, ruled, live)
    return {name: folder / name for name in ("filtered", "ruled")}


@pytest.fixture
def base_path(bundles: dict[str, Path], tmp_path: Path) -> Path:
    shutil.copytree(bundles["filtered"], tmp_path / "shop" / "1")
    return tmp_path / "shop"


@pytest.fixture
def serve(base_path: Path) -> Iterator[Callable[[], Client]]:
    """Starts a server of the model, each time anew."""
    running: list[Any] = []

    def stop() -> None:
        while running:
            running.pop().__exit__(None, None, None)

    def start() -> Client:
        stop()
        server = ModelServer(
            {"shop": base_path}, port=0, rest_api_port=0, file_system_poll_wait_seconds=0.05
        )
        client = Client(f"grpc://127.0.0.1:{server.__enter__().port}")
        running.extend([server, client])
        return client

    yield start
    stop()


def recommend(client: Client, taste: list[float], k: int = 4, **given: Any) -> list[str]:
    inputs = {"taste": [taste], "k": k, "exclude": [[""]], **given}
    signature = "recommend"
    if set(given) - {"exclude"}:
        signature = "recommend_filtered"
        nothing = {
            "only_kind": [[""]], "only_tags": [[""]], "least_price": [np.nan],
            "most_price": [np.nan], "new_items": 0,
        }  # fmt: skip
        inputs = {**nothing, **inputs}
    answer = client.predict("shop", inputs, signature=signature)
    return [item for item in answer["ids"][0] if item]


def put(client: Client, **items: dict[str, Any]) -> int:
    rows = [{"kind": "", "tags": [""], "price": np.nan, **item} for item in items.values()]
    inputs = {name: [row[name] for row in rows] for name in ("kind", "tags", "price", "style")}
    named = {"items": [item.replace("_", "-") for item in items], **inputs}
    return int(client.predict("shop", named, signature="put_items")["room"])


def remove(client: Client, *items: str) -> list[bool]:
    answer = client.predict("shop", {"items": list(items)}, signature="remove_items")
    return answer["removed"].tolist()


def test_change_is_seen_by_the_next_query(serve: Callable[[], Client]) -> None:
    client, taste = serve(), style(4)
    before = recommend(client, taste)

    room = put(client, fresh={"style": [5 * x for x in taste]})
    assert recommend(client, taste)[:2] == ["fresh", before[0]]
    removed = remove(client, before[0], "unheard-of")

    assert (room, removed) == (SLOTS - 1, [True, False])
    assert recommend(client, taste)[:2] == ["fresh", before[1]]
    assert recommend(client, taste, exclude=[["fresh"]])[0] == before[1]


def test_filters_know_what_changed_items_are_now(serve: Callable[[], Client]) -> None:
    client, taste = serve(), style(4)

    put(client, item_03={"style": style(3), "kind": "bread", "tags": ["vegan"], "price": 99.0})
    put(client, item_04={"style": taste, "kind": "tea", "price": 3.0})
    put(client, newest={"style": style(4), "kind": "bread", "tags": ["vegan", "old"]})

    assert set(recommend(client, taste, only_kind=[["bread"]])) == {"item-03", "newest"}
    assert set(recommend(client, taste, only_tags=[["vegan"]])) == {"item-03", "newest"}
    assert recommend(client, taste, least_price=[90.0]) == ["item-03"]
    assert recommend(client, taste, most_price=[3.0], least_price=[3.0]) == ["item-04"]
    every = recommend(client, taste, k=ITEMS, only_kind=[["tea", "cake", "jam", "bread"]])
    assert len(set(every)) == ITEMS
    news = recommend(client, [-x for x in taste], k=6, new_items=6)
    assert set(news) == {"newest", *(f"item-{row}" for row in range(25, 30))}


def test_rules_know_what_changed_items_are_now(
    serve: Callable[[], Client], base_path: Path, bundles: dict[str, Path]
) -> None:
    shutil.rmtree(base_path / "1")
    shutil.copytree(bundles["ruled"], base_path / "1")
    client, taste = serve(), style(4)
    strong = {f"x{n}": {"style": [(9 - n) * x for x in taste], "kind": "bread"} for n in range(4)}

    put(client, **strong)
    put(client, item_07={"style": [6.5 * x for x in taste], "kind": "bread"})
    first = recommend(client, taste, k=5)
    remove(client, "item-07", "x0")
    second = recommend(client, taste, k=5)
    put(client, x3={"style": [8 * x for x in taste], "kind": "tea"})

    # Pinned, and two of the kind that no item had before.
    assert first[:3] == ["item-07", "x0", "x1"]
    assert not {"x2", "x3"} & set(first)
    assert second[:2] == ["x1", "x2"]
    assert "item-07" not in second
    assert recommend(client, taste, k=2) == ["x3", "x1"]


def test_recall_is_measured_among_what_there_is(serve: Callable[[], Client]) -> None:
    client, taste = serve(), [style(4), style(5)]
    put(client, fresh={"style": style(4)})
    remove(client, "item-05")

    answer = client.predict("shop", {"taste": taste, "k": 9}, signature="measure_recall")

    assert answer["recall"].tolist() == [1.0, 1.0]


def test_changes_outlive_the_server_and_the_version(
    serve: Callable[[], Client], base_path: Path, bundles: dict[str, Path]
) -> None:
    client, taste = serve(), style(4)
    put(client, fresh={"style": [5 * x for x in taste], "kind": "bread"})
    put(client, gone={"style": [9 * x for x in taste]})
    remove(client, "gone", recommend(client, taste)[-1])
    want = recommend(client, taste)

    assert recommend(serve(), taste) == want
    shutil.rmtree(base_path / "1")
    shutil.copytree(bundles["ruled"], base_path / "2")
    assert recommend(serve(), taste, only_kind=[["bread"]], k=1) == ["fresh"]
    changes = list(read_changes(base_path / CHANGES_FILE))
    assert [change["item"] for change in changes][:2] == ["fresh", "gone"]
    assert changes[0]["features"]["style"] == pytest.approx([5 * x for x in taste])


def test_changes_older_than_the_catalogue_and_cut_lines_are_passed_over(
    serve: Callable[[], Client], base_path: Path
) -> None:
    taste = style(4)
    features = {"style": [5 * x for x in taste]}
    old = {"moment": SINCE - 1, "item": "old", "features": features}
    new = {"moment": SINCE + 1, "item": "new", "features": features}
    lines = [json.dumps(old), json.dumps(new), json.dumps(new).replace("new", "cut")[:-9]]
    (base_path / CHANGES_FILE).write_text("\n".join(lines))

    client = serve()
    assert recommend(client, taste)[0] == "new"
    put(client, newer={"style": [7 * x for x in taste]})

    assert recommend(serve(), taste)[:2] == ["newer", "new"]


def test_refused_change_is_not_written_down(serve: Callable[[], Client], base_path: Path) -> None:
    client = serve()

    with pytest.raises(ServingError, match="41 items do not fit, there is room for 40"):
        put(client, **{f"x{n}": {"style": style(n)} for n in range(SLOTS + 1)})
    with pytest.raises(ServingError, match="tags: an item has more categories than"):
        put(client, fresh={"style": style(0), "tags": list("abcdefghi")})

    assert not list(read_changes(base_path / CHANGES_FILE))
    assert put(client, fresh={"style": style(0)}) == SLOTS - 1


def test_change_that_cannot_be_written_down_is_an_error(
    serve: Callable[[], Client], base_path: Path
) -> None:
    client = serve()
    (base_path / CHANGES_FILE).mkdir()

    with pytest.raises(ServingError, match=r"changes\.jsonl: cannot be written"):
        put(client, fresh={"style": style(0)})


def test_no_change_is_lost_while_versions_are_swapped(
    serve: Callable[[], Client], base_path: Path, bundles: dict[str, Path], tmp_path: Path
) -> None:
    client, taste = serve(), style(4)
    failed: list[Exception] = []

    def swap() -> None:
        for version in range(2, 5):
            partial = tmp_path / f"partial-{version}"
            shutil.copytree(bundles["filtered"], partial)
            partial.rename(base_path / str(version))
            while client.status("shop")[0].version != version or (
                client.status("shop")[0].state != "AVAILABLE"
            ):
                pass

    with ThreadPoolExecutor(2) as threads:
        swapping = threads.submit(swap)
        count = 0
        while not swapping.done():
            if count < SLOTS - 2:
                put(client, **{f"x{count}": {"style": [(5 + count) * x for x in taste]}})
                count += 1
            try:
                first = recommend(client, taste)[0]
            except Exception as error:
                failed.append(error)
            assert first == f"x{count - 1}"
        swapping.result()

    assert not failed
    assert client.status("shop")[0].version == 4
    assert recommend(client, taste, k=3) == [f"x{count - n}" for n in (1, 2, 3)]
