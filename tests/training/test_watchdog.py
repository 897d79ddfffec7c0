import queue
import threading
import time

import pytest

from tfrec.training.watchdog import Watchdog


@pytest.fixture
def barks() -> "queue.Queue[tuple[int, float]]":
    return queue.Queue()


def test_a_step_that_stays_the_same_is_told_once(barks: "queue.Queue[tuple[int, float]]") -> None:
    watchdog = Watchdog(0.2, lambda *said: barks.put(said))
    watchdog.see(7)
    with watchdog:
        assert barks.get(timeout=60) == (7, 0.2)
        with pytest.raises(queue.Empty):
            barks.get(timeout=0.5)


def test_a_first_step_that_never_comes_is_told(barks: "queue.Queue[tuple[int, float]]") -> None:
    with Watchdog(0.1, lambda *said: barks.put(said)):
        assert barks.get(timeout=60) == (-1, 0.1)


def test_changing_steps_are_well(barks: "queue.Queue[tuple[int, float]]") -> None:
    began = time.monotonic()
    with Watchdog(5.0, lambda *said: barks.put(said)) as watchdog:
        step = 0
        while time.monotonic() - began < 6.0:
            step += 1
            watchdog.see(step)
            with pytest.raises(queue.Empty):
                barks.get(timeout=0.1)


def test_nothing_is_told_once_training_is_over(barks: "queue.Queue[tuple[int, float]]") -> None:
    before = {*threading.enumerate()}

    with Watchdog(5.0, lambda *said: barks.put(said)):
        pass

    for thread in {*threading.enumerate()} - before:
        thread.join(60)
    assert barks.empty()
