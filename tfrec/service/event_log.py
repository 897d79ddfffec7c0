"""The log of events: on the disk before they are acknowledged, and each of them once."""

import fcntl
import logging
import os
import queue
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import BinaryIO, NamedTuple, TextIO

from tfrec.errors import UserError
from tfrec.service.events import Event

logger = logging.getLogger(__name__)

_FILE, _OPEN = "events-{:08d}.jsonl", "_events-{:08d}.jsonl"
_INDEX, _LOCK, _NAME = "_ids.sqlite", "_lock", "_name"
_TOGETHER = 8192
_PIECE = 1 << 20
_SCHEMA = """
CREATE TABLE IF NOT EXISTS ids (id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS log (
  name TEXT NOT NULL, file INTEGER NOT NULL, offset INTEGER NOT NULL
);
"""


class LogError(Exception):
    """Events could not be written, and none of them is acknowledged."""


class Position(NamedTuple):
    """A place in the log: behind `offset` bytes of the file of this number."""

    file: int
    offset: int


START = Position(0, 0)

Deliver = Callable[[Sequence[Event], Position, Position], None]
"""Hears of the new events between two positions, in the order of the log.

Whoever fails is not told again, and has to read what was missed.
"""


class EventLog:
    """Files of JSON lines in a directory of their own, which preparation reads as they are.

    One thread writes. What others submit meanwhile goes out together, with one `fsync` for all.
    The file that grows begins with an underscore, so that preparation leaves it out; it is renamed
    once it is long or old, and when the log is closed. The ids are kept beside it in SQLite: a
    sender may repeat what was not acknowledged at any time, also after a restart.

    Example:
      >>> with EventLog(Path("events")) as log:
      ...     log.append(events)
      [True, True, False]

    Attributes:
      name: that no other log has; it outlives a lost index.
    """

    def __init__(
        self,
        folder: Path,
        features: Sequence[str] = (),
        deliver: Deliver | None = None,
        rotate_bytes: int = 64_000_000,
        rotate_seconds: float = 3600,
    ) -> None:
        """Opens the log, and mends what a killed process left unfinished.

        Args:
          folder: the directory; it is made if it is not there.
          features: names that every line has, see `Event.line`.
          deliver: is given the new events once they are on the disk, before they are acknowledged,
            in the thread that writes.
          rotate_bytes: size from which the next event begins a file.
          rotate_seconds: age from which a file is closed.

        Raises:
          UserError: if another process writes there.
        """
        self._folder, self._features, self._deliver = folder, tuple(features), deliver
        self._rotate_bytes, self._rotate_seconds = rotate_bytes, rotate_seconds
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = _lock(folder)
        self._position, self._broken = START, False
        self._index = sqlite3.connect(
            folder / _INDEX, isolation_level=None, check_same_thread=False
        )
        self._index.execute("PRAGMA journal_mode=WAL")
        self._index.execute("PRAGMA synchronous=NORMAL")
        self._index.executescript(_SCHEMA)
        self._open()
        self._door, self._closed = threading.Lock(), False
        self._queue: queue.SimpleQueue[_Submitted | None] = queue.SimpleQueue()
        self._writer = threading.Thread(target=self._write_all, name="event-log", daemon=True)
        self._writer.start()

    def __enter__(self) -> "EventLog":
        """Returns the log."""
        return self

    def __exit__(self, *error: object) -> None:
        """Closes the log."""
        self.close()

    @property
    def position(self) -> Position:
        """Behind the last event."""
        return self._position

    def submit(self, events: Sequence[Event]) -> "Future[list[bool]]":
        """Hands events over to be written.

        Returns:
          Once they are on the disk, whether each is new: not one that was there before, or earlier
          in the list. `LogError` if they cannot be written.

        Raises:
          LogError: if the log is closed.
        """
        submitted = _Submitted(events, Future())
        # Whoever no longer waits must not be able to cancel what is being written.
        submitted.answer.set_running_or_notify_cancel()
        with self._door:
            if self._closed or not self._writer.is_alive():
                raise LogError(f"{self._folder}: the log is closed")
            self._queue.put(submitted)
        return submitted.answer

    def append(self, events: Sequence[Event]) -> list[bool]:
        """Writes events, and returns as `submit` does once they are on the disk.

        Raises:
          LogError: if they cannot be written.
        """
        return self.submit(events).result()

    def read(self, since: Position = START) -> Iterator[tuple[list[Event], Position]]:
        """Reads the events behind a position, in pieces, each with the position behind it."""
        last = self._position
        for number, file in _files(self._folder):
            if not since.file <= number <= last.file:
                continue
            offset = since.offset if number == since.file else 0
            end = last.offset if number == last.file else None
            for lines, place in _read(self._folder, number, offset, end):
                found = [event for line in lines if (event := _event(file, line))]
                yield found, Position(number, place)

    def close(self) -> None:
        """Writes what is submitted, and hands the last file over to preparation."""
        with self._door:
            if self._closed:
                return
            self._closed = True
            self._queue.put(None)
        self._writer.join()
        os.close(self._file)
        if self._broken:
            pass  # the next start mends its end before preparation sees it
        elif self._position.offset:
            _hand_over(self._folder, self._position.file)
        else:
            _growing(self._folder, self._position.file).unlink()
        self._index.close()
        self._lock.close()

    def _write_all(self) -> None:
        """Runs in the writing thread until the log is closed."""
        while True:
            group, is_last = self._next_group()
            if group:
                self._write(group)
            if self._is_due():
                self._try_to_rotate()
            if is_last:
                return

    def _next_group(self) -> tuple[list["_Submitted"], bool]:
        """Waits for something, and takes all that is there; and whether the log is closed."""
        group: list[_Submitted] = []
        size = 0
        wait = max(self._began + self._rotate_seconds - time.monotonic(), 0.01)
        try:
            while size < _TOGETHER:
                one = self._queue.get(timeout=wait) if not group else self._queue.get_nowait()
                if one is None:
                    return group, True
                group.append(one)
                size += len(one.events)
        except queue.Empty:
            pass
        return group, False

    def _write(self, group: list["_Submitted"]) -> None:
        before = self._position
        try:
            if self._broken:
                raise OSError("what an earlier failure left could not be undone; start again")
            self._index.execute("BEGIN")
            answers = [[self._is_new(event) for event in one.events] for one in group]
            new = [
                event
                for one, answer in zip(group, answers, strict=True)
                for event, is_new in zip(one.events, answer, strict=True)
                if is_new
            ]
            self._commit(self._append(b"".join(event.line(self._features) for event in new)))
        except Exception as error:  # whatever it is, somebody waits to hear of it
            self._try_to_undo(before)
            failed = LogError(f"{self._folder}: cannot be written: {error}")
            for one in group:
                one.answer.set_exception(failed)
            return
        if new and self._deliver:
            try:
                self._deliver(new, before, self._position)
            except Exception:
                logger.exception("%d events are logged, but were not delivered", len(new))
        for one, answer in zip(group, answers, strict=True):
            one.answer.set_result(answer)

    def _is_new(self, event: Event) -> bool:
        """Notes an id, and returns whether it was not there."""
        done = self._index.execute("INSERT OR IGNORE INTO ids VALUES (?)", [event.id])
        return done.rowcount == 1

    def _append(self, content: bytes) -> Position:
        """Brings lines to the disk, and returns the position behind them."""
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(self._file, rest) :]
        if content:
            os.fdatasync(self._file)
        return Position(self._position.file, self._position.offset + len(content))

    def _commit(self, position: Position) -> None:
        self._index.execute("UPDATE log SET file = ?, offset = ?", position)
        self._index.execute("COMMIT")
        self._position = position

    def _try_to_undo(self, before: Position) -> None:
        """Takes a half-written group back, which is not acknowledged."""
        try:
            os.ftruncate(self._file, before.offset)
            if self._index.in_transaction:
                self._index.execute("ROLLBACK")
        except (OSError, sqlite3.Error):
            self._broken = True

    def _is_due(self) -> bool:
        is_old = time.monotonic() - self._began >= self._rotate_seconds
        return is_old or self._position.offset >= self._rotate_bytes

    def _try_to_rotate(self) -> None:
        """Begins the next file, and hands the one that grew over to preparation.

        A file that is empty goes on, and so does one whose end could not be mended.
        """
        old, number = self._file, self._position.file
        self._began = time.monotonic()
        if self._broken or not self._position.offset:
            return
        try:
            self._begin(number + 1)
            os.close(old)
            _hand_over(self._folder, number)
        except OSError as error:
            logger.warning("%s: file %d cannot be closed yet: %s", self._folder, number, error)

    def _begin(self, number: int) -> None:
        """Opens a file to append to, new or begun."""
        path = _growing(self._folder, number)
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
        try:
            _sync(self._folder)
            position = Position(number, os.fstat(file).st_size)
        except OSError:
            os.close(file)
            raise
        self._file, self._position, self._began = file, position, time.monotonic()

    def _open(self) -> None:
        """Cuts off a last line that was never finished, and notes ids that are not noted yet."""
        known = self._index.execute("SELECT name, file, offset FROM log").fetchone()
        if known is None:
            known = _name(self._folder), *START
            self._index.execute("INSERT INTO log VALUES (?, ?, ?)", known)
        self.name, since = known[0], Position(*known[1:])
        _write_name(self._folder, self.name)
        growing = [number for number, file in _files(self._folder) if file.name.startswith("_")]
        for number in growing:
            _mend(_growing(self._folder, number))
        for number in growing[:-1]:
            _hand_over(self._folder, number)
        last = max([since.file, *(number for number, _ in _files(self._folder))])
        self._begin(growing[-1] if growing else last + 1)
        self._index.execute("BEGIN")
        for events, _ in self.read(since):
            self._index.executemany(
                "INSERT OR IGNORE INTO ids VALUES (?)", [[event.id] for event in events]
            )
        self._commit(self._position)


class _Submitted(NamedTuple):
    """Events, and who waits to hear whether they are new."""

    events: Sequence[Event]
    answer: "Future[list[bool]]"


def _files(folder: Path) -> list[tuple[int, Path]]:
    """The files of a log with their numbers, in order; the one that grows is the last."""
    # In this order, one that is handed over meanwhile is found: under one name, or under both.
    found = [*folder.glob("_events-*.jsonl"), *folder.glob("events-*.jsonl")]
    return sorted({int(file.stem.rpartition("-")[2]): file for file in found}.items())


def _name(folder: Path) -> str:
    """The name of a log whose index is lost; a new one where there is no log."""
    file = folder / _NAME
    return file.read_text() if _files(folder) and file.exists() else uuid.uuid4().hex


def _write_name(folder: Path, name: str) -> None:
    file = folder / _NAME
    if not file.exists() or file.read_text() != name:
        scratch = folder / f"{_NAME}.new"
        scratch.write_text(name)
        scratch.rename(file)
        _sync(folder)


def _growing(folder: Path, number: int) -> Path:
    return folder / _OPEN.format(number)


def _hand_over(folder: Path, number: int) -> None:
    """Gives a file the name under which preparation finds it."""
    _growing(folder, number).rename(folder / _FILE.format(number))
    _sync(folder)


def _read(
    folder: Path, number: int, offset: int, end: int | None
) -> Iterator[tuple[list[bytes], int]]:
    """Whole lines of a file from an offset on, in pieces, each with the offset behind it."""
    with _opened(folder, number) as opened:
        opened.seek(offset)
        while end is None or offset < end:
            # One less, so that it stops with the line that ends there.
            lines = opened.readlines((_PIECE if end is None else min(_PIECE, end - offset)) - 1)
            if lines and not lines[-1].endswith(b"\n"):
                lines.pop()
            if not lines:
                return
            offset += sum(map(len, lines))
            yield lines, offset


def _opened(folder: Path, number: int) -> BinaryIO:
    try:
        return _growing(folder, number).open("rb")
    except FileNotFoundError:  # it may have been handed over just now
        return (folder / _FILE.format(number)).open("rb")


def _event(file: Path, line: bytes) -> Event | None:
    try:
        return Event.of_line(line)
    except ValueError:
        # What it says is somebody's, and not for the service's own log.
        logger.warning("%s: a line of %d bytes is no event and is passed over", file, len(line))
        return None


def _mend(file: Path) -> None:
    with file.open("rb+") as opened:
        end = opened.seek(0, os.SEEK_END)
        whole = end
        while whole:
            start = max(whole - (1 << 16), 0)
            opened.seek(start)
            found = opened.read(whole - start).rfind(b"\n")
            whole = start + found + 1
            if found >= 0:
                break
        if whole < end:
            logger.warning("%s: its last line was never finished and is cut off", file)
            opened.truncate(whole)
            os.fsync(opened.fileno())


def _sync(folder: Path) -> None:
    """Makes names of files durable."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _lock(folder: Path) -> TextIO:
    lock = (folder / _LOCK).open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise UserError(
            f"{folder}: another process writes this log; give each its own directory"
        ) from None
    return lock
