import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from redis_server import RedisServer
from service_shop import ServiceShop, make_service_shop

from tfrec.data.erased import Erased
from tfrec.errors import UserError
from tfrec.service.event_log import EventLog, LogError
from tfrec.service.events import Event
from tfrec.service.feature_store import FeatureStore, StoreError
from tfrec.service.intake import Intake, Verdict
from tfrec.service.online_features import OnlineFeatures
from tfrec.service.pushed_states import pushed_states
from tfrec.service.redis_store import RedisStore
from tfrec.service.sqlite_store import SqliteStore

NEVER = datetime.fromtimestamp(10**10, timezone.utc)
NOW = int(time.time())


def row(number: int, **fields: Any) -> dict[str, Any]:
    own = {"id": f"e{number}", "type": "click", "user": "ann", "item": f"item-{number}"}
    return {**own, "time": NOW - 1000 + number, **fields}


class Fails(SqliteStore):
    """A store that can be away."""

    away = False
    fault: Exception | None = None
    waits: tuple[threading.Event, threading.Event] | None = None

    def mark(self, name: str) -> str | None:
        return self._there(super().mark(name))

    def apply(self, events: Sequence[Event], now: float, replayed: bool = False) -> int:
        self._there(None)
        if self.fault:
            raise self.fault
        if self.waits:
            begun, go = self.waits
            begun.set()
            go.wait()
        return super().apply(events, now, replayed)

    def _there(self, value: Any) -> Any:
        if self.away:
            raise StoreError("away")
        return value


@pytest.fixture
def store(tmp_path: Path, service_shop: ServiceShop) -> Iterator[Fails]:
    store = Fails(tmp_path / "features.sqlite", service_shop.online)
    yield store
    store.close()


@pytest.fixture
def begin(tmp_path: Path, service_shop: ServiceShop, store: Fails) -> Callable[[], Intake]:
    """Starts the intake; a second time after the first is closed."""
    return lambda: Intake(tmp_path / "log", service_shop.online, store, tmp_path / "erased")


def recent(store: FeatureStore, user: str = "ann") -> list[str]:
    return store.find(user, NEVER).features.get("recent", [])


def test_every_event_has_a_verdict_and_bad_ones_lose_no_good_ones(
    begin: Callable[[], Intake], store: Fails
) -> None:
    rows = [
        row(1), "text", row(3), row(3), row(4, type="stare"), {"type": "click"},
        row(5, context={"age": "old"}), row(6, time=NOW + 30 * 86_400),
    ]  # fmt: skip

    with begin() as intake:
        verdicts = intake.take(rows)

        assert recent(store) == ["item-1", "item-3"]  # before anything is closed

    assert [(one.id, one.status) for one in verdicts] == [
        ("e1", "accepted"), (None, "rejected"), ("e3", "accepted"), ("e3", "duplicate"),
        ("e4", "rejected"), (None, "rejected"), ("e5", "rejected"), ("e6", "rejected"),
    ]  # fmt: skip
    assert verdicts[6] == Verdict("e5", "rejected", "context.age: not a number")
    assert verdicts[0].reason is None


def test_empty_batch_has_no_verdicts(begin: Callable[[], Intake]) -> None:
    with begin() as intake:
        assert intake.take([]) == []


def test_anonymous_session_has_a_history_of_its_own(
    begin: Callable[[], Intake], store: Fails
) -> None:
    with begin() as intake:
        intake.take([row(1, user=None, session="s1"), row(3, session="s1")])

    assert recent(store, "anonymous:s1") == ["item-1"]
    assert recent(store) == ["item-3"]


def test_repeated_batch_changes_nothing_even_after_a_restart(
    begin: Callable[[], Intake], store: Fails
) -> None:
    for expected in ("accepted", "duplicate"):
        with begin() as intake:
            verdicts = intake.take([row(1), row(3)])
        assert {one.status for one in verdicts} == {expected}

    assert store.find("ann").counts == {"click": 2}


def test_store_that_was_away_gets_what_it_missed(
    begin: Callable[[], Intake], store: Fails, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tfrec.service.intake._RETRY_SECONDS", 1000)
    with begin() as intake:
        intake.take([row(1)])
        store.away = True
        assert intake.take([row(3)])[0].status == "accepted"
        assert not intake.catch_up()
        store.away = False
        intake.take([row(4)])
        assert intake.catch_up()
        assert recent(store) == ["item-1", "item-3", "item-4"]
        intake.take([row(5)])
        assert recent(store) == ["item-1", "item-3", "item-4", "item-5"]


def test_store_that_is_back_gets_what_it_missed_without_being_asked_to(
    begin: Callable[[], Intake], store: Fails, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tfrec.service.intake._RETRY_SECONDS", 0.01)
    with begin() as intake:
        store.away = True
        intake.take([row(1)])
        store.away = False

        deadline = time.monotonic() + 60
        while not recent(store) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert recent(store) == ["item-1"]


def test_senders_do_not_wait_while_the_store_is_given_what_it_missed(
    begin: Callable[[], Intake], store: Fails, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tfrec.service.intake._RETRY_SECONDS", 1000)
    begun, go = threading.Event(), threading.Event()
    with begin() as intake, ThreadPoolExecutor(1) as other:
        store.away = True
        intake.take([row(1)])
        store.away, store.waits = False, (begun, go)
        catching_up = other.submit(intake.catch_up)
        try:
            assert begun.wait(60)
            later = intake.submit([row(3)])
            assert later.result(60)[0].status == "accepted"
        finally:
            go.set()

        assert catching_up.result()
        assert recent(store) == ["item-1", "item-3"]


def test_events_that_failed_for_any_reason_are_delivered_later(
    begin: Callable[[], Intake],
    store: Fails,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("tfrec.service.intake._RETRY_SECONDS", 1000)
    with begin() as intake:
        store.fault = RuntimeError("cannot be")
        assert intake.take([row(1)])[0].status == "accepted"
        assert "cannot be" in caplog.text
        assert not intake.catch_up()
        store.fault = None
        intake.take([row(3)])
        assert intake.catch_up()

    assert recent(store) == ["item-1", "item-3"]


def test_no_event_is_delivered_while_the_tombstones_cannot_be_read(
    begin: Callable[[], Intake], tmp_path: Path, store: Fails, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tfrec.service.intake._RETRY_SECONDS", 1000)
    file = tmp_path / "erased"
    with begin() as intake:
        lost = file.rename(tmp_path / "lost")
        intake.take([row(1)])
        assert not intake.catch_up()
        assert recent(store) == []
        lost.rename(file)
        assert intake.catch_up()

    assert recent(store) == ["item-1"]


def test_redis_that_came_back_as_it_was_before_is_told_again(
    redis_server: RedisServer, tmp_path: Path, service_shop: ServiceShop
) -> None:
    redis_server.flush()
    store = RedisStore(redis_server.url, service_shop.online)
    with Intake(tmp_path / "log", service_shop.online, store) as intake:
        intake.take([row(1), row(3)])
        redis_server.flush()  # and no command has failed
        intake.take([row(4)])
        assert intake.catch_up()

        assert recent(store) == ["item-1", "item-3", "item-4"]
    store.close()


def test_store_that_missed_events_gets_them_at_the_next_start(
    begin: Callable[[], Intake], store: Fails
) -> None:
    with begin() as intake:
        intake.take([row(1)])
        store.away = True
        intake.take([row(3)])
    store.away = False

    with begin():
        assert recent(store) == ["item-1", "item-3"]


def test_lost_store_is_made_again_of_prepared_data_and_the_log(
    begin: Callable[[], Intake], tmp_path: Path, service_shop: ServiceShop, store: Fails
) -> None:
    with begin() as intake:
        intake.take([row(number) for number in (1, 3, 4)])
    prepared = service_shop.shard([Event.model_validate(row(number)) for number in (1, 3)])
    fresh = SqliteStore(tmp_path / "fresh.sqlite", service_shop.online)
    fresh.push(pushed_states(prepared, service_shop.spec, "item", service_shop.config.session_gap))

    with Intake(tmp_path / "log", service_shop.online, fresh):
        assert fresh.find("ann", NEVER) == store.find("ann", NEVER)
    fresh.close()


def test_erased_shopper_stays_erased_when_the_log_is_replayed(
    begin: Callable[[], Intake], tmp_path: Path, service_shop: ServiceShop, store: Fails
) -> None:
    with begin() as intake:
        intake.take([row(1), row(3, user="bob")])
        assert intake.erase("ann")
        assert not intake.erase("nobody")
        intake.take([row(4)])  # it happened before
        assert not store.find("ann").is_known

    fresh = SqliteStore(tmp_path / "fresh.sqlite", service_shop.online)
    with Intake(tmp_path / "log", service_shop.online, fresh, tmp_path / "erased"):
        assert not fresh.find("ann").is_known
        assert recent(fresh, "bob") == ["item-3"]
    assert Erased.read(tmp_path / "erased").until("ann") >= NOW
    fresh.close()


def test_events_ahead_of_the_clock_are_erased_with_the_others(
    begin: Callable[[], Intake], tmp_path: Path, service_shop: ServiceShop
) -> None:
    with begin() as intake:
        ahead = row(1, time=time.time() + 50)
        assert intake.take([ahead])[0].status == "accepted"
        intake.erase("ann")

    fresh = SqliteStore(tmp_path / "fresh.sqlite", service_shop.online)
    with Intake(tmp_path / "log", service_shop.online, fresh, tmp_path / "erased"):
        assert not fresh.find("ann").is_known
    fresh.close()


def test_shopper_is_erased_from_the_store_once_the_tombstone_is_written(
    begin: Callable[[], Intake], store: Fails, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    with begin() as intake:
        intake.take([row(1)])
        monkeypatch.setattr(Intake, "_refresh_erased", fail)
        assert intake.erase("ann")

    assert not store.find("ann").is_known


def test_intake_begins_the_tombstones_and_refuses_lost_ones(
    begin: Callable[[], Intake], tmp_path: Path
) -> None:
    with begin():
        assert len(Erased.read(tmp_path / "erased")) == 0

    (tmp_path / "erased").unlink()
    with pytest.raises(UserError, match="restore the file"):
        begin()


def test_log_that_cannot_be_written_is_told_to_the_sender(
    begin: Callable[[], Intake], monkeypatch: pytest.MonkeyPatch, store: Fails
) -> None:
    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    with begin() as intake:
        with monkeypatch.context() as patch:
            patch.setattr(EventLog, "_append", fail)
            with pytest.raises(LogError, match="Input/output error"):
                intake.take([row(1)])
        assert recent(store) == []
        assert intake.take([row(1)])[0].status == "accepted"


def test_redis_killed_and_restarted_misses_nothing(
    redis_server: RedisServer, tmp_path: Path, service_shop: ServiceShop
) -> None:
    redis_server.flush()
    store = RedisStore(redis_server.url, service_shop.online)
    with Intake(tmp_path / "log", service_shop.online, store) as intake:
        intake.take([row(1)])
        redis_server.kill()
        try:
            assert [one.status for one in intake.take([row(3), row(4)])] == ["accepted"] * 2
        finally:
            redis_server.start()
        assert intake.catch_up()
        intake.take([row(5)])

    assert recent(store) == ["item-1", "item-3", "item-4", "item-5"]
    store.close()


def test_features_that_come_with_events_are_columns_of_every_line(tmp_path: Path) -> None:
    shop = make_service_shop(tmp_path / "shop")
    online: OnlineFeatures = shop.online
    store = SqliteStore(tmp_path / "features.sqlite", online)

    with Intake(tmp_path / "log", online, store) as intake:
        intake.take([row(1)])

    (file,) = (tmp_path / "log").glob("events-*.jsonl")
    for name in ("age", "interests", "taste"):
        assert f'"{name}":null' in file.read_text()
    store.close()
