"""Load on a server: requests at planned times, or from callers that wait for their answers."""

import itertools
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

Call = Callable[[bytes, float], str]
"""Sends an encoded request on a connection of its own and waits at most so many seconds for the
answer; returns the name of the gRPC status that it ended with."""

OK, TIMED_OUT = "OK", "DEADLINE_EXCEEDED"

_TICK_SECONDS = 0.2


class Plan(NamedTuple):
    """What load to make.

    Attributes:
      seconds: for how long requests are made.
      rate: requests a second, evenly spaced; None for one after the other on each connection.
      timeout_seconds: how long an answer may take, counted from when its request was due.
    """

    seconds: float
    rate: float | None = None
    timeout_seconds: float = 10.0


class Latencies(NamedTuple):
    """Requests that ended alike, and how long they took, in milliseconds."""

    requests: int
    per_second: float
    p50: float
    p90: float
    p99: float
    p99_9: float
    max: float


@dataclass(frozen=True)
class LoadResult:
    """How each request fared, in the order they were due.

    Attributes:
      due: `[requests]` float64, when each was to be sent, in seconds since the begin.
      sent: when it was; later if no connection was free.
      ended: when its answer or error was there, or the wait for a connection was given up.
      codes: `[requests]` names of gRPC statuses.
      seconds: from the begin to the last answer, or to the planned end if that was later.
    """

    due: np.ndarray
    sent: np.ndarray
    ended: np.ndarray
    codes: np.ndarray
    seconds: float

    @property
    def milliseconds(self) -> np.ndarray:
        """`[requests]` latencies, counted from when a request was due."""
        return (self.ended - self.due) * 1000

    @property
    def lateness_milliseconds(self) -> np.ndarray:
        """`[requests]` how late each was sent; a part of its latency."""
        return (self.sent - self.due) * 1000

    def by_code(self) -> dict[str, Latencies]:
        """Sums up requests by the code they ended with: OK first, errors by their number."""
        counts = dict(zip(*np.unique(self.codes, return_counts=True), strict=True))
        order = sorted(counts, key=lambda code: (code != OK, -counts[code], code))
        return {str(code): self._latencies(self.codes == code) for code in order}

    def _latencies(self, which: np.ndarray) -> Latencies:
        chosen = self.milliseconds[which]
        # An order statistic is a latency that there was; between two of them there was none.
        figures = np.percentile(chosen, (50, 90, 99, 99.9, 100), method="inverted_cdf")
        return Latencies(len(chosen), len(chosen) / self.seconds, *map(float, figures))


def run_load(
    calls: Sequence[Call],
    requests: Sequence[bytes],
    plan: Plan,
    on_progress: Callable[[float], None] = lambda seconds: None,
) -> LoadResult:
    """Makes load and measures how long answers take.

    With a rate (an open loop) the time at which a request is due does not depend on answers, and
    latency counts from that time, whether or not a connection was free then. A server that stalls
    so delays, and is charged with, all requests of the time of its stall. A request whose time-out
    passes before it can be sent is not sent, and ends as DEADLINE_EXCEEDED. Without a rate (a
    closed loop) a connection makes a request as soon as it has the answer to the one before: a
    slow server is asked less, and its percentiles hold fewer of its slow moments.

    Args:
      calls: one for each connection.
      requests: encoded requests, taken in turn, over and over.
      plan: what load to make.
      on_progress: hears how many seconds have gone, several times a second.

    Returns:
      How each request fared.

    Source: Tene, How NOT to Measure Latency (coordinated omission), and its remedy in wrk2;
    Schroeder, Wierman and Harchol-Balter, Open Versus Closed: A Cautionary Tale, NSDI 2006.
    """
    turns = _Turns(plan)
    start = threading.Barrier(len(calls), action=turns.begin)
    with ThreadPoolExecutor(len(calls)) as pool:
        running = [pool.submit(_ask, call, requests, plan, turns, start) for call in calls]
        try:
            while wait(running, _TICK_SECONDS).not_done:
                on_progress(min(turns.now(), plan.seconds))
        finally:
            turns.end()
    on_progress(plan.seconds)
    asked = sorted(itertools.chain.from_iterable(one.result() for one in running))
    due, sent, ended, codes = (np.array(column) for column in zip(*asked, strict=True))
    return LoadResult(due, sent, ended, codes, max(plan.seconds, float(ended.max())))


class _Asked(NamedTuple):
    due: float
    sent: float
    ended: float
    code: str


class _Turns:
    """Deals out requests, each when it is due. One caller waits for it, the others behind it."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._ended = False
        self.begin()

    def begin(self) -> None:
        self._began = time.perf_counter()

    def now(self) -> float:
        return time.perf_counter() - self._began

    def take(self) -> tuple[int, float] | None:
        """The number of the next request and when it is due; None after the last one."""
        with self._lock:
            number, rate = next(self._numbers), self._plan.rate
            due = self.now() if rate is None else number / rate
            if self._ended or due >= self._plan.seconds:
                return None
            early = due - self.now()
            if early > 0:
                time.sleep(early)
            return number, due

    def end(self) -> None:
        self._ended = True


def _ask(
    call: Call, requests: Sequence[bytes], plan: Plan, turns: _Turns, start: threading.Barrier
) -> list[_Asked]:
    """Makes requests on one connection until none is left."""
    asked = []
    start.wait()
    try:
        while turn := turns.take():
            number, due = turn
            sent = turns.now()
            left = due + plan.timeout_seconds - sent
            code = call(requests[number % len(requests)], left) if left > 0 else TIMED_OUT
            asked.append(_Asked(due, sent, turns.now(), code))
    finally:
        # After an error here nobody goes on.
        turns.end()
    return asked
