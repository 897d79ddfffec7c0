import json
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tfrec.errors import UserError
from tfrec.service.event_log import EventLog, LogError, Position
from tfrec.service.events import Event


def event(number: int, **fields: Any) -> Event:
    content = {"id": f"e{number}", "type": "click", "user": "ann", "item": "x", "time": number}
    return Event.model_validate(content | fields)


def lines(folder: Path) -> list[dict]:
    """What is in the files, in order, however they are named."""
    files = sorted(folder.glob("*events-*.jsonl"), key=lambda file: file.stem.lstrip("_"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def ids(folder: Path) -> list[str]:
    return [line["id"] for line in lines(folder)]


@pytest.fixture
def kill(monkeypatch: pytest.MonkeyPatch) -> Callable[[EventLog], None]:
    """Leaves a log as a killed process leaves it: nothing is closed but by the kernel."""

    def run(log: EventLog) -> None:
        log._queue.put(None)
        log._writer.join()
        os.close(log._file)
        log._index.close()
        log._lock.close()

    return run


def test_events_are_lines_in_the_order_in_which_they_came(tmp_path: Path) -> None:
    shown = event(2, position=3, propensity=0.5, context={"channel": "app", "tags": ["a", "b"]})

    with EventLog(tmp_path, features=["channel", "age"]) as log:
        assert log.append([event(1), shown]) == [True, True]

    first, second = lines(tmp_path)
    assert first.items() >= {"id": "e1", "visitor": "ann", "time": 1.0, "age": None}.items()
    assert second.items() >= {"position": 3, "propensity": 0.5, "channel": "app"}.items()
    assert second["tags"] == ["a", "b"]


def test_event_that_is_sent_again_is_written_once(tmp_path: Path) -> None:
    with EventLog(tmp_path) as log:
        log.append([event(1)])
        assert log.append([event(1), event(2), event(2)]) == [False, True, False]
    with EventLog(tmp_path) as log:
        assert log.append([event(2), event(3)]) == [False, True]

    assert ids(tmp_path) == ["e1", "e2", "e3"]


def test_many_senders_share_the_disk_and_lose_nothing(tmp_path: Path) -> None:
    with EventLog(tmp_path) as log, ThreadPoolExecutor(8) as senders:
        answers = list(senders.map(lambda n: log.append([event(n), event(n + 1)]), range(200)))

    assert sorted(ids(tmp_path)) == sorted(f"e{number}" for number in range(201))
    assert sum(sum(answer) for answer in answers) == 201


def test_what_waits_goes_out_with_one_fsync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    syncs, go, waits = [], threading.Event(), threading.Event()
    real = os.fdatasync

    def sync(file: int) -> None:
        syncs.append(file)
        waits.set()
        go.wait()
        real(file)

    monkeypatch.setattr(os, "fdatasync", sync)
    with EventLog(tmp_path) as log:
        first = log.submit([event(0)])
        waits.wait()
        rest = [log.submit([event(number)]) for number in range(1, 50)]
        assert not first.done()
        go.set()
        assert all(one.result() == [True] for one in rest)

    assert len(syncs) == 2


def test_last_line_that_was_never_finished_is_mended_at_the_start(
    tmp_path: Path, kill: Callable[[EventLog], None]
) -> None:
    log = EventLog(tmp_path)
    log.append([event(1), event(2)])
    kill(log)
    (file,) = tmp_path.glob("_events-*.jsonl")
    with file.open("ab") as opened:
        opened.write(event(3).line()[:40])

    with EventLog(tmp_path) as log:
        assert log.append([event(3), event(2)]) == [True, False]

    assert ids(tmp_path) == ["e1", "e2", "e3"]


def test_line_that_was_written_but_not_noted_counts_as_there(
    tmp_path: Path, kill: Callable[[EventLog], None]
) -> None:
    log = EventLog(tmp_path)
    log.append([event(1)])
    kill(log)
    (file,) = tmp_path.glob("_events-*.jsonl")
    with file.open("ab") as opened:
        opened.write(event(2).line())

    with EventLog(tmp_path) as log:
        assert log.append([event(2)]) == [False]

    assert ids(tmp_path) == ["e1", "e2"]


def test_lost_index_is_made_again_of_the_files(tmp_path: Path) -> None:
    for number in range(3):
        with EventLog(tmp_path) as log:
            log.append([event(number)])
    for file in tmp_path.glob("_ids.sqlite*"):
        file.unlink()

    with EventLog(tmp_path) as log:
        assert log.append([event(n) for n in range(4)]) == [False, False, False, True]


def test_files_are_handed_over_when_they_are_long_or_old_or_the_log_is_closed(
    tmp_path: Path,
) -> None:
    with EventLog(tmp_path / "long", rotate_bytes=400) as log:
        for number in range(4):
            log.append([event(number)])
        assert len(list((tmp_path / "long").glob("events-*.jsonl"))) >= 1
    with EventLog(tmp_path / "old", rotate_seconds=0) as log:
        log.append([event(0)])
        log.append([event(1)])  # the file of the first is closed before this is answered
        assert list((tmp_path / "old").glob("events-*.jsonl"))

    for folder in (tmp_path / "long", tmp_path / "old"):
        assert not list(folder.glob("_events-*"))
    assert ids(tmp_path / "long") == ["e0", "e1", "e2", "e3"]
    assert ids(tmp_path / "old") == ["e0", "e1"]


def test_log_without_an_event_leaves_no_file_for_preparation(tmp_path: Path) -> None:
    EventLog(tmp_path).close()

    assert not list(tmp_path.glob("*.jsonl"))


def test_kill_between_two_files_leaves_both_in_order(
    tmp_path: Path, kill: Callable[[EventLog], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    log = EventLog(tmp_path, rotate_bytes=1)
    with monkeypatch.context() as patch:
        patch.setattr("tfrec.service.event_log._hand_over", lambda *_: None)
        log.append([event(1)])
        log.append([event(2)])
        kill(log)

    with EventLog(tmp_path) as log:
        assert log.append([event(1), event(2), event(3)]) == [False, False, True]

    assert ids(tmp_path) == ["e1", "e2", "e3"]
    assert not list(tmp_path.glob("_events-*"))


def test_full_disk_acknowledges_nothing_and_leaves_no_half_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, full = os.write, []

    def write(file: int, content: bytes) -> int:
        if full:
            real(file, content[:10])
            raise OSError(28, "No space left on device")
        return real(file, content)

    monkeypatch.setattr(os, "write", write)
    with EventLog(tmp_path) as log:
        log.append([event(1)])
        full.append(True)
        with pytest.raises(LogError, match=r"cannot be written: .*No space left"):
            log.append([event(2)])
        full.clear()
        assert log.append([event(2), event(3)]) == [True, True]

    assert ids(tmp_path) == ["e1", "e2", "e3"]


def test_second_process_is_refused(tmp_path: Path) -> None:
    with EventLog(tmp_path), pytest.raises(UserError, match="another process writes this log"):
        EventLog(tmp_path)


def test_closed_log_takes_nothing(tmp_path: Path) -> None:
    log = EventLog(tmp_path)
    log.close()
    log.close()

    with pytest.raises(LogError, match="closed"):
        log.append([event(1)])


def test_new_events_are_delivered_in_order_before_they_are_acknowledged(tmp_path: Path) -> None:
    heard: list[str] = []
    places: list[Position] = []

    def deliver(events: Sequence[Event], before: Position, behind: Position) -> None:
        heard.extend(event.id for event in events)
        places.extend([before, behind])

    with EventLog(tmp_path, deliver=deliver) as log:
        log.append([event(1), event(2)])
        assert heard == ["e1", "e2"]
        log.append([event(2), event(3)])
        assert heard == ["e1", "e2", "e3"]

    assert places[1] == places[2]


def test_log_is_read_from_any_position_over_all_files(tmp_path: Path) -> None:
    with EventLog(tmp_path, rotate_bytes=1) as log:
        log.append([event(1)])
        log.append([event(2)])
        place = log.position
        log.append([event(3)])
        log.append([event(4)])

        behind = [found for events, _ in log.read(place) for found in events]
        everything = [found for events, _ in log.read() for found in events]

    assert [found.id for found in behind] == ["e3", "e4"]
    assert everything == [event(number) for number in range(1, 5)]


def test_log_is_read_no_further_than_it_is_written(tmp_path: Path) -> None:
    with EventLog(tmp_path) as log:
        log.append([event(1)])
        (file,) = tmp_path.glob("_events-*.jsonl")
        with file.open("ab") as opened:
            opened.write(event(2).line())  # of a group that may still be taken back

        assert [found.id for events, _ in log.read() for found in events] == ["e1"]


def test_failed_delivery_does_not_fail_the_sender_and_what_it_missed_is_read(
    tmp_path: Path,
) -> None:
    heard: list[str] = []
    told = [Position(0, 0)]

    def deliver(_: Sequence[Event], before: Position, behind: Position) -> None:
        if not heard and before == Position(1, 0):
            raise RuntimeError("no store")
        heard.extend(found.id for events, _ in log.read(told[-1]) for found in events)
        told.append(behind)

    with EventLog(tmp_path, deliver=deliver) as log:
        assert log.append([event(1)]) == [True]
        assert heard == []
        assert log.append([event(2)]) == [True]
        assert heard == ["e1", "e2"]


def test_what_is_submitted_while_the_log_closes_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, waits = threading.Event(), threading.Event()
    real = os.fdatasync

    def sync(file: int) -> None:
        waits.set()
        go.wait()
        real(file)

    monkeypatch.setattr(os, "fdatasync", sync)
    log = EventLog(tmp_path)
    first = log.submit([event(1)])
    waits.wait()
    with ThreadPoolExecutor(1) as other:
        closing = other.submit(log.close)
        deadline = time.monotonic() + 60
        while log._queue.empty() and time.monotonic() < deadline:
            time.sleep(0.001)
        try:
            with pytest.raises(LogError, match="closed"):
                log.submit([event(2)])
        finally:
            go.set()
        closing.result()

    assert first.result() == [True]
    assert ids(tmp_path) == ["e1"]


def test_rotation_that_fails_leaves_the_file_that_grows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing: list[bool] = []

    def sync(folder: Path) -> None:
        if failing:
            raise OSError(5, "Input/output error")

    monkeypatch.setattr("tfrec.service.event_log._sync", sync)
    with EventLog(tmp_path, rotate_bytes=1) as log:
        failing.append(True)
        log.append([event(1)])
        log.append([event(2)])
        assert [found.id for events, _ in log.read() for found in events] == ["e1", "e2"]
        failing.clear()
        log.append([event(3)])
        log.append([event(4)])

        assert log.position.file > 1
        everything = [found.id for events, _ in log.read() for found in events]

    assert everything == ids(tmp_path) == ["e1", "e2", "e3", "e4"]


def test_log_whose_end_could_not_be_mended_takes_nothing_until_it_is_opened_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.write

    def write(file: int, content: bytes) -> int:
        real(file, content[:10])
        raise OSError(28, "No space left on device")

    def truncate(*_: int) -> None:
        raise OSError(5, "Input/output error")

    with EventLog(tmp_path) as log:
        log.append([event(1)])
        monkeypatch.setattr(os, "write", write)
        monkeypatch.setattr(os, "ftruncate", truncate)
        with pytest.raises(LogError, match="No space left"):
            log.append([event(2)])
        monkeypatch.setattr(os, "write", real)
        log._rotate_seconds = 0
        for _ in range(3):
            with pytest.raises(LogError, match="start again"):
                log.append([event(2)])

    with EventLog(tmp_path) as log:
        assert log.append([event(2)]) == [True]
    assert ids(tmp_path) == ["e1", "e2"]


def test_numbers_go_on_where_all_files_were_deleted(tmp_path: Path) -> None:
    with EventLog(tmp_path) as log:
        log.append([event(1)])
        place = log.position
    for file in tmp_path.glob("events-*.jsonl"):
        file.unlink()

    with EventLog(tmp_path) as log:
        log.append([event(2)])
        assert [found.id for events, _ in log.read(place) for found in events] == ["e2"]

    assert [file.name for file in tmp_path.glob("*.jsonl")] == ["events-00000002.jsonl"]


def test_name_of_the_log_outlives_a_lost_index_but_not_the_log(tmp_path: Path) -> None:
    with EventLog(tmp_path) as log:
        log.append([event(1)])
    for file in tmp_path.glob("_ids.sqlite*"):
        file.unlink()

    with EventLog(tmp_path) as again:
        assert again.name == log.name

    for file in [*tmp_path.glob("_ids.sqlite*"), *tmp_path.glob("*.jsonl")]:
        file.unlink()
    with EventLog(tmp_path) as other:
        assert other.name != log.name
