"""The feature store in a file: for one server, without any other program."""

import math
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import orjson

from tfrec.service.events import ANONYMOUS
from tfrec.service.feature_store import REMEMBER_SECONDS, FeatureStore, Put, Record, StoreError
from tfrec.service.online_features import OnlineFeatures
from tfrec.service.shopper_state import Change, PushedState, ShopperState

_WAIT_SECONDS = 5.0
_FORGET_SECONDS = 3600
_PRAGMAS = "journal_mode=WAL", "synchronous=NORMAL", "secure_delete=ON", "wal_autocheckpoint=8000"
_PUSHED_TOGETHER = 2_000
_SCHEMA = """
CREATE TABLE IF NOT EXISTS shoppers (
  user TEXT PRIMARY KEY, last INTEGER, state BLOB NOT NULL, hidden BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS applied (
  user TEXT, key TEXT, at INTEGER NOT NULL, PRIMARY KEY (user, key)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS applied_at ON applied (at);
CREATE TABLE IF NOT EXISTS marks (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
_PUT = """
INSERT INTO shoppers VALUES (?, ?, ?, ?) ON CONFLICT (user) DO UPDATE
SET last = excluded.last, state = excluded.state, hidden = excluded.hidden
"""
_PUSH = """
INSERT INTO shoppers VALUES (?, ?, ?, ?) ON CONFLICT (user) DO UPDATE
SET last = excluded.last, state = excluded.state
WHERE last IS NULL OR excluded.last >= last
"""
_FORGET = """
DELETE FROM shoppers
WHERE user >= :first AND user < :behind AND (last IS NULL OR last < :before)
AND NOT EXISTS (SELECT * FROM applied WHERE applied.user = shoppers.user AND at >= :before)
"""
_BEHIND_ANONYMOUS = ANONYMOUS[:-1] + chr(ord(ANONYMOUS[-1]) + 1)


class SqliteStore(FeatureStore):
    """Shoppers' states in SQLite, which several processes of one machine may have open.

    What is written is there after a crash of the process. After one of the machine the newest
    changes may be gone; the log of events has them.
    """

    def __init__(self, path: Path, online: OnlineFeatures) -> None:
        """Opens the file, or makes it, readable by its owner only."""
        super().__init__(online)
        self._path, self._connections = path, threading.local()
        self._opened: list[sqlite3.Connection] = []
        self._forgot = -math.inf
        with self._errors():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
            self._connection.executescript(_SCHEMA)
        with self._transaction() as connection:
            self._forget(connection, time.time())

    def push(self, states: Iterable[PushedState]) -> Put:
        """See `FeatureStore.push`; other writers get their turn every few thousand shoppers."""
        rows = [_row(one.user, Record(one.state, one.hidden)) for one in states]
        put = partial = 0
        for start in range(0, len(rows), _PUSHED_TOGETHER):
            with self._transaction() as connection:
                some = rows[start : start + _PUSHED_TOGETHER]
                partial += sum(_is_partial(connection, user, last) for user, last, *_ in some)
                put += connection.executemany(_PUSH, some).rowcount
        return Put(put, partial)

    def erase(self, user: str) -> bool:
        """See `FeatureStore.erase`; the bytes are overwritten in the files, too.

        A copy may stay in the free space of a page that was split, until the next `VACUUM`.
        """
        with self._transaction() as connection:
            connection.execute("DELETE FROM applied WHERE user = ?", [user])
            gone = connection.execute("DELETE FROM shoppers WHERE user = ?", [user]).rowcount > 0
        with self._errors():
            # It waits for others as any statement does.
            checked = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if checked[0]:
            raise StoreError(f"{self._path}-wal: others read it, and it keeps what was erased")
        return gone

    def mark(self, name: str) -> str | None:
        """See `FeatureStore.mark`."""
        with self._errors():
            return _mark(self._connection, name)

    def set_mark(self, name: str, value: str) -> None:
        """See `FeatureStore.set_mark`."""
        with self._transaction() as connection:
            connection.execute("REPLACE INTO marks VALUES (?, ?)", [name, value])

    def move_mark(self, name: str, before: str | None, value: str) -> bool:
        """See `FeatureStore.move_mark`."""
        with self._transaction() as connection:
            if _mark(connection, name) != before:
                return False
            connection.execute("REPLACE INTO marks VALUES (?, ?)", [name, value])
            return True

    def close(self) -> None:
        """See `FeatureStore.close`; no other thread may be at work."""
        while self._opened:
            self._opened.pop().close()
        self._connections = threading.local()

    def _get(self, user: str) -> Record | None:
        with self._errors():
            return _find(self._connection, user)

    def _apply(self, changes: Mapping[str, Sequence[Change]], now: float, replayed: bool) -> int:
        taken = 0
        with self._transaction() as connection:
            connection.execute("DELETE FROM applied WHERE at < ?", [int(now) - REMEMBER_SECONDS])
            self._forget(connection, now)
            for user, theirs in changes.items():

                def is_new(key: str, user: str = user) -> bool:
                    done = connection.execute(
                        "INSERT OR IGNORE INTO applied VALUES (?, ?, ?)", [user, key, int(now)]
                    )
                    return done.rowcount == 1

                record = _find(connection, user) or Record(ShopperState(), [])
                new = self._take(record, theirs, is_new, replayed)
                if new:
                    connection.execute(_PUT, _row(user, record))
                taken += new
        return taken

    def _forget(self, connection: sqlite3.Connection, now: float) -> None:
        """Forgets anonymous sessions of a week ago, once an hour."""
        if now - self._forgot >= _FORGET_SECONDS:
            before = int(now) - REMEMBER_SECONDS
            sessions = {"first": ANONYMOUS, "behind": _BEHIND_ANONYMOUS, "before": before}
            connection.execute(_FORGET, sessions)
            self._forgot = now

    @property
    def _connection(self) -> sqlite3.Connection:
        """The calling thread's own."""
        if (found := getattr(self._connections, "own", None)) is None:
            found = sqlite3.connect(
                self._path, _WAIT_SECONDS, isolation_level=None, check_same_thread=False
            )
            for pragma in _PRAGMAS:
                found.execute(f"PRAGMA {pragma}")
            self._connections.own = found
            self._opened.append(found)
        return found

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._errors():
            connection = self._connection
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"{self._path}: {error}") from error


def _mark(connection: sqlite3.Connection, name: str) -> str | None:
    row = connection.execute("SELECT value FROM marks WHERE name = ?", [name]).fetchone()
    return row and row[0]


def _find(connection: sqlite3.Connection, user: str) -> Record | None:
    found = connection.execute("SELECT state, hidden FROM shoppers WHERE user = ?", [user])
    row = found.fetchone()
    return row and Record(ShopperState.from_bytes(row[0]), orjson.loads(row[1]))


def _is_partial(connection: sqlite3.Connection, user: str, last: int | None) -> bool:
    """Whether a shopper who is newer in the store lacks what came before."""
    found = connection.execute(
        "SELECT state FROM shoppers WHERE user = ? AND last > ?", [user, last]
    )
    row = found.fetchone()
    return row is not None and ShopperState.from_bytes(row[0]).known_until is None


def _row(user: str, record: Record) -> tuple[str, int | None, bytes, bytes]:
    return user, record.state.last, record.state.to_bytes(), orjson.dumps(record.hidden)
