"""What was shown, on its way into the log of events."""

import logging
import math
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, NamedTuple

from tfrec.service import metrics
from tfrec.service.api import Slate
from tfrec.service.experiments.label import write_label
from tfrec.service.intake import Verdict

logger = logging.getLogger(__name__)

Submit = Callable[[Sequence[object]], "Future[list[Verdict]]"]
"""Takes rows in, as `Intake.submit` does."""

Count = Callable[[Sequence[object], Sequence[Verdict]], None]
"""Is told of rows, and what became of them, as `Experiments.count` is."""

_MOST_WAITING = 2000
_TOGETHER = 50
_GATHERING_SECONDS = 0.1


class Exposures:
    """Logs each place of each slate as an impression, without anybody waiting for it.

    A thread hands slates over to be written, those of a tenth of a second at once: to write them
    one by one takes as much processor time as to make them. If the log cannot keep
    up, or cannot write, impressions are lost; they are counted in the metrics.
    """

    def __init__(self, submit: Submit, count: Count, most_waiting: int = _MOST_WAITING) -> None:
        """Begins.

        Args:
          submit: takes the events in.
          count: counts those that were taken in.
          most_waiting: how many slates may wait; further ones are dropped.
        """
        self._submit, self._count = submit, count
        self._queue: queue.Queue[_Shown | None] = queue.Queue(most_waiting)
        self._door, self._closed = threading.Lock(), False
        self._problem = ""
        self._thread = threading.Thread(target=self._run, name="exposures", daemon=True)
        self._thread.start()

    def note(
        self,
        slate: Slate,
        user: str | None,
        session: str | None,
        teams: Sequence[str | None] = (),
        now: float | None = None,
    ) -> bool:
        """Hands a slate over that is being shown.

        Nobody's slate is not logged: without user and session nothing can follow it.

        Args:
          slate: what is shown.
          user: the shopper's id, where it is known.
          session: of an anonymous shopper.
          teams: label of the team that chose each item, where two rankings were dealt into one;
            None for a pinned item.
          now: the moment, in seconds since 1970; by default the clock's.

        Returns:
          Whether it will be logged, unless the log fails.
        """
        if (user is None and session is None) or not slate.items:
            return False
        moment = time.time() if now is None else now
        problem = self._put(_Shown(slate, user, session, tuple(teams), moment))
        if problem:
            self._drop(len(slate.items), problem)
        return not problem

    def close(self) -> None:
        """Writes what was noted, and stops."""
        with self._door:
            if self._closed:
                return
            self._closed = True
        self._queue.put(None)
        self._thread.join()

    def _put(self, shown: "_Shown") -> str:
        """Hands a slate over, or says why it cannot."""
        with self._door:
            if self._closed:
                return "the service stops"
            try:
                self._queue.put_nowait(shown)
            except queue.Full:
                return "the log does not keep up"
            return ""

    def _run(self) -> None:
        """Runs in a thread of its own until it is closed."""
        is_last = False
        while not is_last:
            shown, is_last = self._next()
            if shown:
                self._write([row for one in shown for row in impressions(*one)])

    def _write(self, rows: Sequence[dict[str, Any]]) -> None:
        try:
            verdicts = self._submit(rows).result()
        except Exception as error:  # whatever it is, the next slates may be written
            self._drop(len(rows), str(error))
            return
        self._count(rows, verdicts)
        rejected = [one.reason or "" for one in verdicts if one.status == "rejected"]
        if rejected:
            self._drop(len(rejected), rejected[0])
        else:
            self._problem = ""

    def _drop(self, count: int, problem: str) -> None:
        metrics.count_dropped_exposures(count)
        if problem != self._problem:
            logger.warning("impressions are not logged: %s", problem)
        self._problem = problem

    def _next(self) -> tuple[list["_Shown"], bool]:
        """Waits for a slate, and for others a moment longer; and whether it is closed."""
        shown: list[_Shown] = []
        left: float | None = None
        until = math.inf
        while len(shown) < _TOGETHER:
            try:
                one = self._queue.get(timeout=left)
            except queue.Empty:
                break
            if one is None:
                return shown, True
            if not shown:
                until = time.monotonic() + _GATHERING_SECONDS
            shown.append(one)
            left = max(until - time.monotonic(), 0)
        return shown, False


class _Shown(NamedTuple):
    slate: Slate
    user: str | None
    session: str | None
    teams: Sequence[str | None]
    now: float


def impressions(
    slate: Slate, user: str | None, session: str | None, teams: Sequence[str | None], now: float
) -> list[dict[str, Any]]:
    """The events of a slate's places; those of the same request have the same ids."""
    label = write_label(slate.arms)
    return [
        {
            "id": f"{slate.request_id}.{item.position}",
            "type": "impression",
            "user": user,
            "session": session,
            "item": item.id,
            "time": now,
            "request": slate.request_id,
            "scenario": slate.scenario,
            "position": item.position,
            "propensity": item.propensity,
            "arm": label,
            "team": teams[place] if teams else None,
            "coupon": item.coupon,
        }
        for place, item in enumerate(slate.items)
    ]
