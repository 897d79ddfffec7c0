"""Events on their way in: validated, logged, and known to the feature store at once."""

import logging
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Literal, NamedTuple

from tfrec.data.erased import Erased, begin_tombstones, erase
from tfrec.service import metrics
from tfrec.service.event_log import START, EventLog, Position
from tfrec.service.events import MOST_AHEAD_SECONDS, Event, check_events
from tfrec.service.feature_store import FeatureStore, StoreError
from tfrec.service.online_features import OnlineFeatures

logger = logging.getLogger(__name__)

_RETRY_SECONDS = 2.0


class Verdict(NamedTuple):
    """What became of one event.

    Attributes:
      id: the event's; None where it has none that can be read.
      status: `accepted` is on the disk; `duplicate` was there before; `rejected` cannot be right.
      reason: why it is rejected.
    """

    id: str | None
    status: Literal["accepted", "duplicate", "rejected"]
    reason: str | None = None


class Intake:
    """Takes batches of events; those that are good are kept whatever becomes of the others.

    The log is what counts. The feature store follows it: when it does not take events, they are
    acknowledged all the same, without waiting for it, and a thread gives it what it missed once it
    is back.
    """

    def __init__(
        self, folder: Path, online: OnlineFeatures, store: FeatureStore, erased: Path | None = None
    ) -> None:
        """Opens the log, and gives the store what it missed.

        Args:
          folder: directory of the log.
          online: says which values of events can be right.
          store: is told of every new event before it is acknowledged.
          erased: file of tombstones, as `data.clean.erased` names it; it is made with its key if
            neither is there.

        Raises:
          UserError: if another process writes the log, or the tombstones cannot be read.
        """
        self._online, self._store, self._erased_file = online, store, erased
        self._erased, self._erased_size = Erased.nobody(), -1
        if erased:
            begin_tombstones(erased)
        self._refresh_erased()
        self._behind, self._problem = True, ""
        self._told: str | None = None
        self._one, self._closed = threading.Lock(), threading.Event()
        self._log = EventLog(folder, online.sent, self._deliver)
        self._mark = f"log:{self._log.name}"
        self.catch_up()
        self._follower = threading.Thread(target=self._follow, name="feature-store", daemon=True)
        self._follower.start()

    def __enter__(self) -> "Intake":
        """Returns the intake."""
        return self

    def __exit__(self, *error: object) -> None:
        """Closes the log."""
        self.close()

    @property
    def problem(self) -> str:
        """Why the store lacks events that the log has; empty where it lacks none."""
        return self._problem if self._behind else ""

    def submit(self, rows: Sequence[object]) -> "Future[list[Verdict]]":
        """Validates a batch, and hands what is good over to be written.

        Args:
          rows: what was sent: one mapping an event.

        Returns:
          Once they are on the disk, a verdict for each. `LogError` if they cannot be written.

        Raises:
          LogError: if the log is closed.
        """
        checked = self._check(rows)
        events = [one for one in checked if isinstance(one, Event)]
        answer: Future[list[Verdict]] = Future()
        answer.set_running_or_notify_cancel()

        def tell(written: "Future[list[bool]]") -> None:
            metrics.add_waiting_events(-len(events))
            if error := written.exception():
                answer.set_exception(error)
            else:
                answer.set_result(_verdicts(rows, checked, written.result()))

        logged = self._log.submit(events)
        metrics.add_waiting_events(len(events))
        logged.add_done_callback(tell)
        return answer

    def take(self, rows: Sequence[object]) -> list[Verdict]:
        """Validates a batch, writes what is good, and returns as `submit` does.

        Raises:
          LogError: if they cannot be written.
        """
        return self.submit(rows).result()

    def erase(self, user: str) -> bool:
        """Forgets a shopper: from the store now, and by a tombstone from later training data.

        Returns:
          Whether the store knew the shopper.

        Raises:
          UserError: if the tombstones cannot be written.
          StoreError: if the store does not answer; the tombstone is there, and the same call again
            does the rest.
        """
        with self._one:
            if self._erased_file:
                # Events may have been accepted that are ahead of the clock.
                erase(self._erased_file, user, int(time.time()) + MOST_AHEAD_SECONDS)
            return self._store.erase(user)

    def catch_up(self) -> bool:
        """Gives the store what it missed, if it missed anything; whether it has everything now.

        Senders do not wait for it meanwhile.
        """
        while self._behind and not self._closed.is_set():
            with self._one:
                if not self._replay_some():
                    break
        return not self._behind

    def close(self) -> None:
        """Writes what was submitted, and closes the log; the store stays open."""
        self._closed.set()
        self._follower.join()
        self._log.close()

    def _check(self, rows: Sequence[object]) -> list[Event | str]:
        checked = check_events(rows, time.time())
        places = [place for place, one in enumerate(checked) if isinstance(one, Event)]
        events = [one for one in checked if isinstance(one, Event)]
        for place, fault in zip(places, self._online.faults(events), strict=True):
            if fault:
                checked[place] = fault
        return checked

    def _deliver(self, events: Sequence[Event], _before: Position, behind: Position) -> None:
        """Tells the store of new events, in the thread that writes the log."""
        if self._behind:
            return
        with self._one:
            if self._behind:
                return
            try:
                self._apply(events, behind)
            except Exception as error:  # whatever it is, the store has to be told of them later
                self._fall_behind(error)

    def _follow(self) -> None:
        """Runs in a thread of its own, so that nobody waits for a store that is away."""
        while not self._closed.wait(_RETRY_SECONDS):
            self.catch_up()

    def _replay_some(self) -> bool:
        """Tells the store of the first events in the log behind its mark; whether it took them."""
        try:
            self._told = self._store.mark(self._mark)
            since = Position(*map(int, self._told.split())) if self._told else START
            some = next(self._log.read(since), None)
            if some:
                self._apply(*some, replayed=True)
            else:
                self._behind = False
                # What was written before that was not delivered, and may be there by now.
                self._behind = next(self._log.read(since), None) is not None
                self._problem = ""
                metrics.set_store_behind(self._behind)
        except Exception as error:  # as in `_deliver`
            self._fall_behind(error)
            return False
        return True

    def _apply(self, events: Sequence[Event], behind: Position, replayed: bool = False) -> None:
        self._refresh_erased()
        kept = [one for one in events if one.seconds > self._erased.until(one.visitor)]
        self._store.apply(kept, time.time(), replayed)
        told = f"{behind.file} {behind.offset}"
        if not self._store.move_mark(self._mark, self._told, told):
            raise StoreError("it came back as it was before, and is told again what it lost")
        self._told = told

    def _refresh_erased(self) -> None:
        """Reads the tombstones anew when somebody, maybe another replica, has added one."""
        if self._erased_file:
            size = self._erased_file.stat().st_size
            if size != self._erased_size:
                self._erased, self._erased_size = Erased.read(self._erased_file), size

    def _fall_behind(self, error: Exception) -> None:
        if repr(error) != self._problem:
            is_ours = not isinstance(error, StoreError)
            logger.warning("the store is told later of new events: %s", error, exc_info=is_ours)
        self._behind, self._problem = True, repr(error)
        metrics.set_store_behind(True)


def _verdicts(
    rows: Sequence[object], checked: Sequence[Event | str], written: Sequence[bool]
) -> list[Verdict]:
    news = iter(written)
    return [
        Verdict(_id(row), "rejected", one)
        if isinstance(one, str)
        else Verdict(one.id, "accepted" if next(news) else "duplicate")
        for row, one in zip(rows, checked, strict=True)
    ]


def _id(row: object) -> str | None:
    found = row.get("id") if isinstance(row, dict) else None
    return found if isinstance(found, str) else None
