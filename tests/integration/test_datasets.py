"""The data sets that packages carry, fetched for real."""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import platformdirs
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from tfrec.data import datasets
from tfrec.data.datasets.dataset import Wheel
from tfrec.errors import UserError


@pytest.fixture(scope="module", autouse=True)
def fetched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cache that tests share; pip keeps its own, so that it need not download anew."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIP_CACHE_DIR", str(platformdirs.user_cache_path("pip")))
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache directory of one test alone."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "tfrec" / "datasets"


@pytest.fixture
def change(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Changes the package of MovieLens 100K."""

    def run(**fields: str) -> None:
        dataset = datasets.DATASETS["movielens_100k"]
        assert isinstance(dataset.origin, Wheel)
        origin = dataclasses.replace(dataset.origin, **fields)
        changed = dataclasses.replace(dataset, origin=origin)
        monkeypatch.setitem(datasets.DATASETS, "movielens_100k", changed)

    return run


def read(name: str, table: str) -> pa.Table:
    return pq.read_table(datasets.fetch(name, table))


@pytest.mark.parametrize("name", ["complete_journey", "movielens_100k", "open_bandit"])
def test_every_table_has_the_rows_that_are_published(name: str) -> None:
    rows = datasets.fetch_dataset(name).rows

    assert rows == {key: table.rows for key, table in datasets.DATASETS[name].tables.items()}
    for key, table in datasets.DATASETS[name].tables.items():
        assert pq.read_schema(datasets.fetch(name, key)).equals(table.schema)


def test_complete_journey_is_what_it_was() -> None:
    transactions = read("complete_journey", "transactions")

    assert pc.sum(transactions["sales_value"]).as_py() == pytest.approx(4_596_039.58, abs=0.01)
    assert pc.sum(transactions["product_id"]).as_py() == 4_532_660_940_322
    assert pc.sum(read("complete_journey", "promotions")["week"]).as_py() == 569_914_801


def test_prices_of_complete_journey_are_medians_of_what_was_paid() -> None:
    prices = read("complete_journey", "prices")

    assert pc.sum(prices["price"]).as_py() == pytest.approx(268_811.67, abs=0.01)
    assert pc.min(prices["price"]).as_py() == 0.01
    assert pc.sum(prices["purchases"]).as_py() == 1_444_512


def test_searches_of_complete_journey_are_words_of_what_was_bought() -> None:
    searches, products = read("complete_journey", "searches"), read("complete_journey", "products")

    row = searches.slice(0, 1).to_pylist()[0]
    place = products["product_id"].index(row["product_id"]).as_py()
    product = products.slice(place, 1).to_pylist()[0]
    groups = f"{product['product_type']} {product['product_category']}".lower()
    assert all(word in groups for word in row["query"].split())
    assert pc.sum(searches["product_id"]).as_py() == 856_856_093_695


def test_movielens_100k_is_what_it_was() -> None:
    ratings, users, items = (read("movielens_100k", key) for key in ("ratings", "users", "items"))

    assert pc.sum(ratings["rating"]).as_py() == 352_986
    assert pc.min_max(ratings["timestamp"].cast(pa.int64())).as_py() == {
        "min": 874_724_710_000,
        "max": 893_286_638_000,
    }
    assert pc.sum(users["age"]).as_py() == 32_111
    assert pc.sum(items["release_year"]).as_py() == 3_341_634
    assert items["release_year"].null_count == 2
    assert len(pc.list_flatten(items["genres"])) == 2_893


def test_open_bandit_is_what_it_was() -> None:
    impressions = read("open_bandit", "impressions")

    clicks = impressions.group_by(["policy", "campaign"]).aggregate([("click", "sum")])
    assert {
        (row["policy"], row["campaign"]): row["click_sum"] for row in clicks.to_pylist()
    } == {
        ("random", "all"): 38,
        ("random", "men"): 46,
        ("random", "women"): 46,
        ("bernoulli_ts", "all"): 42,
        ("bernoulli_ts", "men"): 69,
        ("bernoulli_ts", "women"): 46,
    }  # fmt: skip
    assert pc.sum(impressions["propensity_score"]).as_py() == pytest.approx(4_716.144907, abs=1e-5)
    assert pc.sum(pc.list_flatten(impressions["user_item_affinity"])).as_py() == 3_312
    items = set(read("open_bandit", "items")["item_id"].to_pylist())
    assert set(impressions["item_id"].to_pylist()) == items


def test_second_fetch_needs_no_package_index(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = datasets.fetch("movielens_100k", "ratings")
    monkeypatch.setenv("PIP_NO_INDEX", "1")

    assert datasets.fetch("movielens_100k", "ratings") == first
    assert first.is_relative_to(empty_cache)


def test_wrong_digest_is_refused_and_leaves_nothing_behind(
    empty_cache: Path, change: Callable[..., None]
) -> None:
    change(sha256="0" * 64)

    with pytest.raises(UserError) as caught:
        datasets.fetch("movielens_100k", "items")

    assert str(caught.value).startswith("dataset://movielens_100k: the recbole==")
    assert f"has another digest than sha256:{'0' * 64}; do not use it" in str(caught.value)
    assert list(empty_cache.glob("[!.]*")) == []


def test_package_that_cannot_be_had_is_one_line_with_a_remedy(
    empty_cache: Path, change: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    change(requirement="recbole==1.2.999")

    with pytest.raises(UserError) as caught:
        datasets.fetch("movielens_100k", "items")

    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith(
        "check the connection, or give data.*.source the path of a local file"
    )
    assert list(empty_cache.glob("[!.]*")) == []
