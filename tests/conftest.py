"""Fixtures that every room's tests share."""

import gc
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pytest
from busy_shop import DAY, BusyShop, make_busy_shop, spec_of
from shop import Shop, make_shop

from tfrec.config import validate
from tfrec.data.config import DataConfig
from tfrec.data.events import USER
from tfrec.data.prepared import PreparedData
from tfrec.data.queries import RELEVANT, SEEN
from tfrec.data.query_set import QuerySet
from tfrec.features import FeatureSpec

_SLOWEST = ("integration", "training", "stages")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the rooms with the longest files first, so that no process is left alone with one."""
    items.sort(key=lambda item: item.path.parent.name not in _SLOWEST)


def pytest_collection_finish() -> None:
    """Has no later collection of garbage walk through what was imported, a million objects."""
    gc.freeze()


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A shop that tests only read."""
    return make_shop(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="session")
def data_config(shop: Shop) -> DataConfig:
    """The shop's `data` section."""
    return validate(DataConfig, shop.config()["data"], "data")


@pytest.fixture(scope="session")
def spec(shop: Shop) -> FeatureSpec:
    """The shop's `features` section."""
    return validate(FeatureSpec, shop.config()["features"], "features")


@pytest.fixture(scope="session")
def prepared(
    data_config: DataConfig, spec: FeatureSpec, tmp_path_factory: pytest.TempPathFactory
) -> PreparedData:
    """The shop's prepared data, which tests only read."""
    # Beam and TensorFlow Transform take seconds to import; only tests that need this wait for them.
    from tfrec.stages.prepare import prepare

    artifact = prepare(data_config, spec, tmp_path_factory.mktemp("prepared") / "prepare")
    return PreparedData(artifact.path)


@pytest.fixture(scope="session")
def busy_shop() -> BusyShop:
    """A shop with features of every kind."""
    return make_busy_shop()


@pytest.fixture(scope="session")
def busy(busy_shop: BusyShop, tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    """The busy shop's prepared data with labelled impressions and pairs, which tests only read."""
    from tfrec.stages.prepare import prepare

    folder = tmp_path_factory.mktemp("busy")
    config = busy_shop.write(
        folder,
        promotions={
            "source": str(folder / "promotions.parquet"), "item": "product", "start": "from",
            "end": "to",
        },
        split={"kind": "time", "validation": 6 * DAY, "test": 6 * DAY},
        labels={
            "kind": "impressions", "impression": "shown", "positive": ["view", "buy"],
            "lists": True,
        },
        pairs={"within": "session"},
    )  # fmt: skip
    return PreparedData(prepare(config, spec_of(), folder / "prepare").path)


@pytest.fixture(scope="session")
def make_queries() -> Callable[..., QuerySet]:
    """Makes queries of shoppers `user-0`, `user-1`, ... from item rows."""

    def make(
        relevant: Sequence[Sequence[int]], seen: Sequence[Sequence[int]], **features: Sequence
    ) -> QuerySet:
        rows = pa.list_(pa.int64())
        columns = {
            USER: [f"user-{number}" for number in range(len(relevant))],
            **features,
            RELEVANT: pa.array(relevant, rows),
            SEEN: pa.array(seen, rows),
        }
        return QuerySet(pa.table(columns))

    return make


@pytest.fixture
def write_parquet(tmp_path: Path) -> Callable[..., str]:
    """Writes columns to a new Parquet file and returns its path."""
    written = []

    def write(**columns: Sequence | pa.Array) -> str:
        path = tmp_path / f"table-{len(written)}.parquet"
        pa.parquet.write_table(pa.table(columns), path)
        written.append(path)
        return str(path)

    return write
