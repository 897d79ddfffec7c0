"""A small shop, and stores of each kind."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis_server import RedisServer, running_redis
from service_shop import ServiceShop, make_service_shop

from tfrec.service.feature_store import FeatureStore
from tfrec.service.online_features import OnlineFeatures
from tfrec.service.redis_store import RedisStore
from tfrec.service.sqlite_store import SqliteStore


@pytest.fixture(autouse=True)
def patient_stores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has stores wait for a disk that others keep busy."""
    monkeypatch.setattr("tfrec.service.redis_store._TIMEOUT_SECONDS", 60.0)
    monkeypatch.setattr("tfrec.service.sqlite_store._WAIT_SECONDS", 60.0)


@pytest.fixture
def service_shop(tmp_path: Path) -> ServiceShop:
    return make_service_shop(tmp_path / "shop")


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(params=["sqlite", "redis"])
def open_store(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[Callable[[OnlineFeatures], FeatureStore]]:
    """Opens a store of each kind; opened again, it has what it had."""
    stores: list[FeatureStore] = []
    if request.param == "redis":
        server: RedisServer = request.getfixturevalue("redis_server")
        server.flush()

    def run(online: OnlineFeatures) -> FeatureStore:
        store: FeatureStore = (
            RedisStore(server.url, online)
            if request.param == "redis"
            else SqliteStore(tmp_path / "store" / "features.sqlite", online)
        )
        stores.append(store)
        return store

    yield run
    for store in stores:
        store.close()
