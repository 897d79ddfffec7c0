import itertools
import math
import threading
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest

from tfrec.serving import load_test
from tfrec.serving.load_test import OK, TIMED_OUT, LoadResult, Plan, run_load

STALLS = [0.004, 0.004, 0.9, *[0.002] * 40, 0.3, *[0.001] * 30]
STATUSES = [OK, OK, OK, "INTERNAL", OK, "UNAVAILABLE", OK]


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def perf_counter(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(load_test, "time", clock)
    return clock


class Server:
    """Takes as long as it is told, a call after the other, and fails when it is told."""

    def __init__(self, clock: Clock, seconds: Sequence[float], codes: Sequence[str]) -> None:
        self._clock, self._answers = clock, zip(itertools.cycle(seconds), itertools.cycle(codes))
        self.asked: list[tuple[bytes, float]] = []

    def __call__(self, request: bytes, timeout_seconds: float) -> str:
        self.asked.append((request, timeout_seconds))
        seconds, code = next(self._answers)
        self._clock.sleep(seconds)
        return code


def recompute(seconds: Sequence[float], codes: Sequence[str], plan: Plan) -> list[tuple]:
    """Due, sent, ended and code of each request to one connection, one after the other."""
    now, asked, answers = 0.0, [], zip(itertools.cycle(seconds), itertools.cycle(codes))
    while (due := len(asked) / plan.rate if plan.rate else now) < plan.seconds:
        now = sent = max(now, due)
        code = TIMED_OUT
        if sent < due + plan.timeout_seconds:
            service, code = next(answers)
            now += service
        asked.append((due, sent, now, code))
    return asked


def columns(result: LoadResult) -> list[tuple]:
    return list(zip(result.due, result.sent, result.ended, result.codes, strict=True))


@pytest.mark.parametrize(
    "plan", [Plan(1.5, 100), Plan(1.5), Plan(3, 20), Plan(1.5, 100, timeout_seconds=0.5005)]
)
def test_every_request_is_charged_from_when_it_was_due(clock: Clock, plan: Plan) -> None:
    server = Server(clock, STALLS, STATUSES)

    result = run_load([server], [b"a", b"b", b"c"], plan)

    expected = recompute(STALLS, STATUSES, plan)
    assert [row[3] for row in columns(result)] == [row[3] for row in expected]
    np.testing.assert_allclose(
        np.array([row[:3] for row in columns(result)]), [row[:3] for row in expected], atol=1e-9
    )
    latencies = [(ended - due) * 1000 for due, _, ended, _ in expected]
    np.testing.assert_allclose(result.milliseconds, latencies, atol=1e-6)
    assert result.seconds == pytest.approx(max(plan.seconds, expected[-1][2]))


def test_a_stall_shows_in_an_open_loop_and_hides_in_a_closed_one(clock: Clock) -> None:
    stalls_once = [0.001] * 100 + [1.0] + [0.001] * 10_000

    opened = run_load([Server(clock, stalls_once, [OK])], [b""], Plan(10, 100)).by_code()[OK]
    closed = run_load([Server(clock, stalls_once, [OK])], [b""], Plan(10)).by_code()[OK]

    assert opened.requests == 1000
    assert opened.p99 > 800
    assert closed.p99_9 == pytest.approx(1.0)
    assert opened.max == pytest.approx(1000.0)
    assert closed.max == pytest.approx(1000.0)


def test_what_cannot_be_sent_in_time_is_not_sent_and_not_left_out(clock: Clock) -> None:
    server = Server(clock, [10.0], [TIMED_OUT])

    result = run_load([server], [b""], Plan(5, 10, timeout_seconds=2))

    assert len(server.asked) == 1
    assert Counter(result.codes) == {TIMED_OUT: 50}
    assert result.milliseconds[-1] == pytest.approx(5100.0)
    assert result.lateness_milliseconds[-1] == pytest.approx(5100.0)


def test_requests_are_taken_in_turn_with_the_seconds_that_are_left(clock: Clock) -> None:
    server = Server(clock, [0.15], [OK])

    run_load([server], [b"a", b"b"], Plan(0.4, 10, timeout_seconds=1))

    assert [request for request, _ in server.asked] == [b"a", b"b", b"a", b"b"]
    assert [seconds for _, seconds in server.asked] == pytest.approx([1.0, 0.95, 0.9, 0.85])


def test_figures_are_latencies_that_there_were_by_code() -> None:
    generator = np.random.default_rng(5)
    latencies = generator.exponential(size=500)
    codes = np.where(np.arange(500) % 10 == 3, "INTERNAL", OK)
    codes[:3] = "ABORTED"
    due = np.arange(500) / 100
    result = LoadResult(due, due, due + latencies, codes, 8.0)

    found = result.by_code()

    assert list(found) == [OK, "INTERNAL", "ABORTED"]
    for code, figures in found.items():
        mine = sorted(
            ms for ms, other in zip(latencies * 1000, codes, strict=True) if other == code
        )
        ranks = [math.ceil(len(mine) * share) - 1 for share in (0.5, 0.9, 0.99, 0.999, 1)]
        assert figures.requests == len(mine)
        assert figures.per_second == len(mine) / 8
        assert figures[2:] == pytest.approx([mine[rank] for rank in ranks])


def test_connections_share_the_requests_at_once() -> None:
    together = threading.Barrier(4, timeout=60)
    asked: list[bytes] = []

    def call(request: bytes, timeout_seconds: float) -> str:
        asked.append(request)
        together.wait()
        return OK

    requests = [str(number).encode() for number in range(40)]
    result = run_load([call] * 4, requests, Plan(0.1, 400, timeout_seconds=60))

    assert sorted(asked) == sorted(requests)
    assert set(result.codes) == {OK}
    np.testing.assert_allclose(result.due, np.arange(40) / 400)


def test_progress_ends_at_the_end(clock: Clock) -> None:
    heard: list[float] = []

    run_load([Server(clock, [0.1], [OK])], [b""], Plan(2), heard.append)

    assert heard[-1] == 2


def test_error_of_the_driver_s_own_ends_the_test() -> None:
    def fails(request: bytes, timeout_seconds: float) -> str:
        raise ZeroDivisionError

    def answers(request: bytes, timeout_seconds: float) -> str:
        return OK

    with pytest.raises(ZeroDivisionError):
        run_load([answers, fails], [b""], Plan(3600, 100))
