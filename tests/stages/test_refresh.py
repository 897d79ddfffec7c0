import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from shop import ITEMS, make_shop

from tfrec.cli.items import items
from tfrec.data.catalogue import ID, Catalogue
from tfrec.errors import UserError
from tfrec.serving import Client, ModelServer
from tfrec.serving.changes import CHANGES_FILE
from tfrec.serving.names import ITEMS as IDS
from tfrec.serving.names import REMOVE_ITEMS
from tfrec.stages.experiment import Experiment
from tfrec.stages.put_items import ItemsPut, put_items
from tfrec.stages.recommender import Recommender, Wanted
from tfrec.stages.refresh import Freshness

SLOTS = 10
ROWS = "sku,aisle\nnew-1,aisle-1\nnew-2,aisle-2\n,aisle-3\nsku-000,spices\nnew-1,spices\n"


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    """One that is pushed."""
    shop = make_shop(tmp_path_factory.mktemp("refreshed"))
    serving = {"live_items": SLOTS, "filters": ["aisle"]}
    made = Experiment.load(shop.write_config(training={"epochs": 1}, serving=serving))
    for stage in (made.prepare, made.train, made.index, made.export, made.push):
        stage()
    return made


@pytest.fixture(scope="module")
def address(experiment: Experiment) -> Iterator[str]:
    root = experiment.config.serving.root / "shop"
    server = ModelServer({"shop": root}, port=0, rest_api_port=0, file_system_poll_wait_seconds=0.1)
    with server:
        yield f"grpc://127.0.0.1:{server.port}"


@pytest.fixture(scope="module")
def client(address: str) -> Iterator[Client]:
    with Client(address) as client:
        yield client


def put(experiment: Experiment, client: Client, file: Path) -> ItemsPut:
    config = experiment.config
    return put_items(client, "shop", config.data.items, config.features, [str(file)])


def wait_until_served(client: Client, version: int) -> None:
    deadline = time.monotonic() + 300
    while (client.status("shop")[0].version, client.status("shop")[0].state) != (
        version,
        "AVAILABLE",
    ):
        assert time.monotonic() < deadline, client.status("shop")
        time.sleep(0.05)


def ids(recommender: Recommender, **given: Any) -> list[str]:
    return [item.id for item in recommender.recommend(shopper="user-1", **given)]


def test_changes_are_served_measured_and_built_into_a_new_version(
    experiment: Experiment, client: Client, tmp_path: Path
) -> None:
    recommender = Recommender.connect(client, "shop", experiment.prepared)
    spices = Wanted(only={"aisle": ["spices"]})
    (tmp_path / "items.csv").write_text(ROWS)
    assert ids(recommender, wanted=spices) == []

    done = put(experiment, client, tmp_path / "items.csv")
    first = ids(recommender, k=3)[0]
    client.predict("shop", {IDS: [first, "unheard-of"]}, signature=REMOVE_ITEMS)

    assert done == ItemsPut(3, SLOTS - 3, [f"{tmp_path}/items.csv:4: missing item id"])
    served = ids(recommender, k=ITEMS - 10)
    assert first not in served
    assert {"new-1", "sku-000"} - {first} == set(ids(recommender, wanted=spices))
    found = experiment.freshness(client)
    assert found == Freshness(1.0, 1.0, 0.95, 5, SLOTS)

    version = experiment.refresh()
    wait_until_served(client, int(version.name))

    assert ids(recommender, k=ITEMS - 10) == served
    assert experiment.freshness(client) == Freshness(1.0, 1.0, 0.95, 0, SLOTS)
    catalogue = Catalogue(
        experiment.config.runs / "shop" / "refresh" / "index" / "catalogue.parquet"
    )
    assert len(catalogue) == ITEMS + 2 - 1
    assert catalogue.table[ID].to_pylist() == sorted(catalogue.table[ID].to_pylist())
    assert catalogue.features(catalogue.rows(["new-1"])[0])["aisle"] == "spices"
    # Room for as many changes again.
    assert put(experiment, client, tmp_path / "items.csv").room == SLOTS - 3
    assert experiment.freshness(client).changed == 3


def test_nothing_new_makes_no_new_version(experiment: Experiment) -> None:
    changes = experiment.config.serving.root / "shop" / CHANGES_FILE
    changes.touch()

    assert experiment.refresh() == experiment.refresh()


@pytest.mark.parametrize(
    ("recall", "built", "changed", "stale"),
    [
        (0.96, 0.99, 0, False),
        (0.949, 0.955, 0, False),
        (0.94, 0.96, 0, True),
        (0.97, 0.97, 79, False),
        (0.97, 0.97, 80, True),
    ],
)
def test_index_is_stale_when_recall_fell_or_room_is_nearly_used_up(
    recall: float, built: float, changed: int, stale: bool
) -> None:
    assert Freshness(recall, built, 0.95, changed, 100).stale == stale


def test_file_without_a_column_of_the_catalogue_is_named(
    experiment: Experiment, client: Client, tmp_path: Path
) -> None:
    (tmp_path / "items.csv").write_text("sku\nnew\n")

    with pytest.raises(UserError, match=r"items\.csv.*aisle"):
        put(experiment, client, tmp_path / "items.csv")


def test_commands_say_what_they_did(experiment: Experiment, address: str, tmp_path: Path) -> None:
    config = str(experiment.config.runs.parent / "experiment.yaml")
    (tmp_path / "items.jsonl").write_text('{"sku": "by-command", "aisle": "aisle-1"}\n')

    def run(*words: str) -> str:
        result = CliRunner().invoke(items, [words[0], config, *words[1:], "--server", address])
        return f"{result.output}{result.exception or ''}"

    assert run("put", f"{tmp_path}/items.jsonl").startswith("put: 1 items; room for ")
    told = run("remove", "by-command", "unheard-of")
    assert told == "removed: 1 items\nID: there is no unheard-of"
    assert run("refresh").startswith("recall 1.0000, 1.0000 when built, 0.95 promised; ")


def test_commands_refuse_a_model_whose_items_do_not_change(experiment: Experiment) -> None:
    config = str(experiment.config.runs.parent / "experiment.yaml")

    result = CliRunner().invoke(items, ["refresh", config, "--serving.live_items", "0"])

    assert "serving.live_items: 0, so no items change" in str(result.exception)
