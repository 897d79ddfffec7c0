import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tfrec.training import heartbeat
from tfrec.training.heartbeat import Heartbeat, beating, say_ended


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "_BEAT_SECONDS", 0.02)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "heartbeat"


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_who_is_at_work_is_heard(file: Path) -> None:
    listener = Heartbeat(file)
    assert not listener.heard

    with beating(file):
        wait_until(lambda: listener.heard)
        silent = listener.silent_seconds

    assert silent < 60
    assert not listener.has_ended


def test_silence_is_counted_from_the_last_sign(file: Path) -> None:
    listener = Heartbeat(file)
    wait_until(lambda: listener.silent_seconds > 0.1)

    with beating(file):
        wait_until(lambda: listener.silent_seconds < 0.1)
    wait_until(lambda: listener.silent_seconds > 0.1)


def test_no_sign_is_left_of_who_has_broken_off(file: Path) -> None:
    with suppress(RuntimeError), beating(file):
        wait_until(file.exists)
        raise RuntimeError

    assert not file.exists()


def test_what_was_there_before_says_nothing(file: Path) -> None:
    say_ended(file)

    listener = Heartbeat(file)

    assert not listener.heard
    assert not listener.has_ended


def test_an_end_is_heard_also_where_one_ended_before(file: Path) -> None:
    say_ended(file)
    listener = Heartbeat(file)

    say_ended(file)

    assert listener.has_ended


def test_who_beats_again_has_not_ended(file: Path) -> None:
    listener = Heartbeat(file)
    say_ended(file)
    assert listener.has_ended

    with beating(file):
        wait_until(lambda: not listener.has_ended)
