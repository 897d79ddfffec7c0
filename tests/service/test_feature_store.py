import sqlite3
import stat
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
import redis
from redis_server import RedisServer
from service_shop import GAP, ServiceShop, random_events

from tfrec.errors import UserError
from tfrec.service.events import Event
from tfrec.service.feature_store import REMEMBER_SECONDS, FeatureStore, Put, Shopper, StoreError
from tfrec.service.online_features import OnlineFeatures
from tfrec.service.open_store import open_store as open_by_url
from tfrec.service.pushed_states import pushed_states
from tfrec.service.redis_store import RedisStore
from tfrec.service.shopper_state import PushedState, ShopperState
from tfrec.service.sqlite_store import SqliteStore

NEVER = datetime.fromtimestamp(10**9, timezone.utc)
NOW = 2_000_000.0

Open = Callable[[OnlineFeatures], FeatureStore]


def event(number: int, time: float | None = None, **fields: Any) -> Event:
    content = {"id": f"e{number}", "type": "click", "user": "ann", "item": f"item-{number}"}
    return Event.model_validate(content | {"time": number if time is None else time} | fields)


@pytest.fixture
def store(open_store: Open, service_shop: ServiceShop) -> FeatureStore:
    return open_store(service_shop.online)


def push(store: FeatureStore, shop: ServiceShop, events: Sequence[Event]) -> int:
    return store.push(pushed_states(shop.shard(events), shop.spec, "item", GAP)).put


def find(store: FeatureStore, user: str) -> Shopper:
    return store.find(user, NEVER)


def test_event_is_visible_at_the_next_read(store: FeatureStore) -> None:
    store.apply([event(1)], NOW)
    assert find(store, "ann").features["recent"] == ["item-1"]

    store.apply([event(3), event(4, type="purchase")], NOW)

    ann = find(store, "ann")
    assert ann.is_known
    assert ann.features["recent"] == ["item-1", "item-3", "item-4"]
    assert ann.features["bought"] == ["item-4"]
    assert ann.counts == {"click": 2, "purchase": 1}
    assert ann.last == 4


def test_shopper_never_seen_has_an_empty_answer(store: FeatureStore) -> None:
    assert find(store, "nobody") == Shopper(
        "nobody", False, {"visits_before": 0.0, "events_before": 0.0}, [], {}, None
    )


def test_event_is_taken_once_however_often_it_is_given(
    open_store: Open, service_shop: ServiceShop
) -> None:
    store = open_store(service_shop.online)
    assert store.apply([event(1), event(1), event(3)], NOW) == 2
    assert store.apply([event(3), event(1)], NOW) == 0

    again = open_store(service_shop.online)

    assert again.apply([event(1), event(4)], NOW) == 1
    assert find(again, "ann").counts == {"click": 3}


def test_ids_are_forgotten_after_a_week(store: FeatureStore) -> None:
    store.apply([event(1)], NOW)
    assert store.apply([event(1)], NOW + REMEMBER_SECONDS) == 0

    assert store.apply([event(4)], NOW + REMEMBER_SECONDS + 1) == 1
    assert store.apply([event(1)], NOW + REMEMBER_SECONDS + 2) == 1


def test_hidden_items_stay_hidden_in_their_order(store: FeatureStore) -> None:
    for number in (4, 3, 4):
        store.apply([event(number + 100 * number, item=f"item-{number}", type="hide")], NOW)

    store.apply([event(9, item="not in the catalogue", type="hide")], NOW)

    assert find(store, "ann").hidden == ["item-4", "item-3", "not in the catalogue"]
    assert find(store, "ann").counts == {"hide": 2}


def test_many_replicas_lose_no_event_of_a_shopper(
    open_store: Open, service_shop: ServiceShop
) -> None:
    stores = [open_store(service_shop.online) for _ in range(4)]

    def apply(number: int) -> int:
        events = [event(2 * number, item="item-1"), event(2 * number + 1, item="item-1")]
        return stores[number % 4].apply(events, NOW)

    with ThreadPoolExecutor(4) as replicas:
        taken = sum(replicas.map(apply, range(40)))

    assert taken == 80
    assert find(stores[0], "ann").counts == {"click": 80}


def test_reader_sees_all_of_a_list_or_none(open_store: Open, service_shop: ServiceShop) -> None:
    writer, reader = open_store(service_shop.online), open_store(service_shop.online)
    seen, done = set(), threading.Event()

    def read() -> None:
        while not done.is_set():
            seen.add(sum(find(reader, "ann").counts.values()))

    with ThreadPoolExecutor(1) as other:
        reading = other.submit(read)
        for number in range(30):
            writer.apply([event(5 * number + place, item="item-1") for place in range(5)], NOW)
        done.set()
        reading.result()

    assert seen <= {5 * number for number in range(31)}


def test_pushed_shoppers_take_further_events(
    store: FeatureStore, service_shop: ServiceShop, tmp_path: Path
) -> None:
    events = random_events(7)
    assert push(store, service_shop, events[:200]) == 6

    store.apply(events[200:], NOW)

    prepared = service_shop.profiles(events, tmp_path / "profiles")
    for number in range(6):
        user = f"user-{number}"
        assert find(store, user).features == prepared.find(user, NEVER)


def test_push_leaves_newer_shoppers_and_hidden_items_alone(
    store: FeatureStore, service_shop: ServiceShop
) -> None:
    store.apply([event(5), event(6, user="bob", item="item-6", type="hide")], NOW)

    events = [event(1), event(5, user="bob"), event(6, user="bob"), event(7, user="cy")]
    assert push(store, service_shop, events) == 2

    assert find(store, "ann").features["recent"] == ["item-5"]
    assert find(store, "bob").features["recent"] == ["item-5", "item-6"]
    assert find(store, "bob").hidden == ["item-6"]
    assert find(store, "cy").features["recent"] == ["item-7"]


def test_push_tells_of_whom_the_store_lacks_what_came_before(
    store: FeatureStore, service_shop: ServiceShop
) -> None:
    push(store, service_shop, [event(1, user="bob")])
    store.apply([event(6), event(6, user="bob"), event(3, user="cy")], NOW)

    old = [event(3), event(3, user="bob"), event(4, user="cy")]
    shard = service_shop.shard(old)

    assert store.push(pushed_states(shard, service_shop.spec, "item", GAP)) == Put(1, 1)
    assert find(store, "ann").features["recent"] == ["item-6"]


def test_push_may_be_repeated(store: FeatureStore, service_shop: ServiceShop) -> None:
    push(store, service_shop, [event(1), event(3)])
    before = find(store, "ann")

    assert push(store, service_shop, [event(1), event(3)]) == 1

    assert find(store, "ann") == before


def test_replayed_events_that_are_pushed_already_count_once(
    store: FeatureStore, service_shop: ServiceShop
) -> None:
    push(store, service_shop, [event(1), event(3)])

    store.apply([event(1), event(3), event(4), event(5, 4)], NOW, replayed=True)

    assert find(store, "ann").features["recent"] == ["item-1", "item-3", "item-4", "item-5"]


def test_erased_shopper_is_unknown_and_others_are_not(store: FeatureStore) -> None:
    store.apply([event(1), event(3, user="bob"), event(4, type="hide")], NOW)

    assert store.erase("ann")
    assert not store.erase("ann")

    assert not find(store, "ann").is_known
    assert find(store, "ann").hidden == []
    assert find(store, "bob").is_known
    store.apply([event(8)], NOW)
    assert find(store, "ann").features["recent"] == ["item-8"]


@pytest.mark.parametrize("user", ["", "{x}", "a b:c", "Zoë 靴", "' OR 1=1 --", "x" * 256])
def test_ids_are_taken_as_they_are(store: FeatureStore, user: str) -> None:
    state = ShopperState(last=1, known_until=1, counts={"click": 1}, sessions=[[1, 1]])
    store.push([PushedState(user, 1, state, [])])

    assert find(store, user).last == 1
    assert store.erase(user)


def test_marks_are_kept_by_name(open_store: Open, service_shop: ServiceShop) -> None:
    store = open_store(service_shop.online)
    assert store.mark("log") is None
    store.set_mark("log", "1")
    store.set_mark("log", "2")
    store.set_mark("other", "é")

    again = open_store(service_shop.online)

    assert (again.mark("log"), again.mark("other")) == ("2", "é")


def test_mark_moves_only_from_where_it_was(store: FeatureStore) -> None:
    assert not store.move_mark("log", "1", "2")
    assert store.move_mark("log", None, "1")
    assert not store.move_mark("log", None, "2")
    assert store.mark("log") == "1"

    assert store.move_mark("log", "1", "2")

    assert store.mark("log") == "2"


def test_event_is_taken_well_within_a_second(store: FeatureStore) -> None:
    seconds = []
    for number in range(50):
        started = time.perf_counter()
        store.apply([event(number, item="item-1")], NOW)
        assert find(store, "ann").features["events_before"] == number + 1
        seconds.append(time.perf_counter() - started)

    # A disk that others keep busy holds some of them up.
    assert sorted(seconds)[12] < 0.2


def test_redis_that_went_away_is_told_and_has_all_when_it_is_back(
    redis_server: RedisServer, service_shop: ServiceShop
) -> None:
    redis_server.flush()
    store = RedisStore(redis_server.url, service_shop.online)
    store.apply([event(1)], NOW)
    store.set_mark("log", "1")

    redis_server.kill()
    try:
        for ask in (
            lambda: find(store, "ann"),
            lambda: store.apply([event(3)], NOW),
            lambda: store.erase("ann"),
            lambda: store.mark("log"),
        ):
            with pytest.raises(StoreError, match="Redis: "):
                ask()
    finally:
        redis_server.start()

    assert store.apply([event(1), event(3)], NOW) == 1
    assert find(store, "ann").features["recent"] == ["item-1", "item-3"]
    store.close()


def test_file_that_is_no_database_is_told(service_shop: ServiceShop, tmp_path: Path) -> None:
    (tmp_path / "features.sqlite").write_text("no database, but long enough to be looked at" * 99)

    with pytest.raises(StoreError, match=r"features\.sqlite: file is not a database"):
        SqliteStore(tmp_path / "features.sqlite", service_shop.online)


def test_url_says_which_store(service_shop: ServiceShop, tmp_path: Path) -> None:
    online = service_shop.online
    store = open_by_url(f"sqlite:///{tmp_path}/new/features.sqlite", online)
    store.close()

    assert (tmp_path / "new" / "features.sqlite").exists()
    assert isinstance(open_by_url("redis://localhost:6379/0", online), RedisStore)


@pytest.mark.parametrize(
    "url", ["", "sqlite://", "sqlite:///", "mysql://x", "features.sqlite", "redis://localhost:port"]
)
def test_other_url_is_refused(service_shop: ServiceShop, url: str) -> None:
    with pytest.raises(UserError, match=r"^store: "):
        open_by_url(url, service_shop.online)


def test_anonymous_sessions_of_long_ago_are_forgotten(
    service_shop: ServiceShop, tmp_path: Path, redis_server: RedisServer
) -> None:
    session = {"user": None, "session": "s"}
    old, new = event(1, **session), event(3, time.time(), user=None, session="new")
    path = tmp_path / "features.sqlite"
    store = SqliteStore(path, service_shop.online)
    store.apply([old, new, event(4)], NOW)
    store.close()

    store = SqliteStore(path, service_shop.online)

    users = ("anonymous:s", "anonymous:new", "ann")
    assert [store.find(user).is_known for user in users] == [False, True, True]
    store.close()
    redis_server.flush()
    shared = RedisStore(redis_server.url, service_shop.online)
    shared.apply([old, event(4)], NOW)
    with redis.Redis(port=redis_server.port) as client:
        assert client.ttl("tfrec:shopper:{anonymous:s}") > REMEMBER_SECONDS - 100
        assert client.ttl("tfrec:shopper:{ann}") == -1
    shared.close()


def test_anonymous_sessions_are_forgotten_while_the_store_is_open(
    service_shop: ServiceShop, tmp_path: Path
) -> None:
    now = time.time()
    store = SqliteStore(tmp_path / "features.sqlite", service_shop.online)
    hides = {"session": "hides", "type": "hide", "item": "not in the catalogue"}
    store.apply([event(1, now, user=None, session="s"), event(3, now, user=None, **hides)], now)
    sessions = "anonymous:s", "anonymous:hides"

    store.apply([event(4, now)], now + REMEMBER_SECONDS)
    assert [len(store.find(user).hidden) for user in sessions] == [0, 1]
    assert store.find(sessions[0]).is_known

    store.apply([event(5, now)], now + REMEMBER_SECONDS + 4000)
    assert [store._get(user) for user in sessions] == [None, None]
    assert store.find("ann").counts == {"click": 2}
    store.close()


def test_anonymous_sessions_that_are_pushed_are_forgotten_in_redis(
    service_shop: ServiceShop, redis_server: RedisServer
) -> None:
    redis_server.flush()
    store = RedisStore(redis_server.url, service_shop.online)
    day_ago = int(time.time()) - 86_400

    store.push(
        [
            PushedState(user, day_ago, ShopperState(last=day_ago, known_until=day_ago), [])
            for user in ("anonymous:s", "ann")
        ]
    )

    with redis.Redis(port=redis_server.port) as client:
        left = REMEMBER_SECONDS - 86_400
        assert left - 100 < client.ttl("tfrec:shopper:{anonymous:s}") <= left
        assert client.ttl("tfrec:shopper:{ann}") == -1
    store.close()


def test_erased_shopper_is_in_no_file_of_the_store(
    service_shop: ServiceShop, tmp_path: Path
) -> None:
    store = SqliteStore(tmp_path / "features.sqlite", service_shop.online)
    hers = [
        event(1000, user="erika", item="item-1"),
        event(1001, user="erika", item="her-secret", type="hide"),
    ]
    others = [event(n, user=f"user-{n % 90}", item="item-1") for n in range(400)]

    def found() -> list[str]:
        return [
            file.name
            for file in tmp_path.glob("features.sqlite*")
            if any(word in file.read_bytes() for word in (b"erika", b"her-secret"))
        ]

    for start in range(0, len(others), 40):
        store.apply([*others[start : start + 40], hers[start > 0]], NOW)
    assert found()

    assert store.erase("erika")

    assert found() == []
    assert store.find("user-1").is_known
    store.close()


def test_files_of_the_store_are_for_their_owner_only(
    service_shop: ServiceShop, tmp_path: Path
) -> None:
    store = SqliteStore(tmp_path / "features.sqlite", service_shop.online)
    store.apply([event(1)], NOW)

    files = list(tmp_path.glob("features.sqlite*"))

    assert len(files) == 3
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    store.close()


def test_erasure_that_a_reader_keeps_from_the_files_is_told(
    service_shop: ServiceShop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tfrec.service.sqlite_store._WAIT_SECONDS", 0.05)
    store = SqliteStore(tmp_path / "features.sqlite", service_shop.online)
    store.apply([event(1)], NOW)
    reader = sqlite3.connect(tmp_path / "features.sqlite", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM shoppers").fetchall()

    with pytest.raises(StoreError, match=r"features\.sqlite-wal: others read it"):
        store.erase("ann")

    assert not find(store, "ann").is_known
    reader.close()
    store.erase("ann")
    assert (tmp_path / "features.sqlite-wal").stat().st_size == 0
    store.close()
