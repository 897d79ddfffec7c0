"""Events on their way in: validated, logged, and known to the feature store at once."""

import logging
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Literal, NamedTuple

from tfrec.data.erased import Erased, erase
from tfrec.service.event_log import EventLog, Position
from tfrec.service.events import Event, check_events
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

    The log is what counts. The feature store follows it: when it does not answer, events are
    acknowledged all the same, and it is given what it missed once it is back and the next event
    comes, or `catch_up` is called.
    """

    def __init__(
        self, folder: Path, online: OnlineFeatures, store: FeatureStore, erased: Path | None = None
    ) -> None:
        """Opens the log, and gives the store what it missed.

        Args:
          folder: directory of the log.
          online: says which values of events can be right.
          store: is told of every new event before it is acknowledged.
          erased: file of tombstones, as `data.clean.erased` names it.

        Raises:
          UserError: if another process writes the log, or the tombstones cannot be read.
        """
        self._online, self._store, self._erased_file = online, store, erased
        self._erased, self._erased_size = Erased.nobody(), 0
        self._refresh_erased()
        self._behind, self._tried = True, -_RETRY_SECONDS
        self._one = threading.Lock()
        self._log = EventLog(folder, online.sent, self._deliver)
        self._mark = f"log:{self._log.name}"
        self.catch_up()

    def __enter__(self) -> "Intake":
        """Returns the intake."""
        return self

    def __exit__(self, *error: object) -> None:
        """Closes the log."""
        self.close()

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
            if error := written.exception():
                answer.set_exception(error)
            else:
                answer.set_result(_verdicts(rows, checked, written.result()))

        self._log.submit(events).add_done_callback(tell)
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
                erase(self._erased_file, user, int(time.time()))
                self._refresh_erased()
            return self._store.erase(user)

    def catch_up(self) -> bool:
        """Gives the store what it missed, if it missed anything; whether it has everything now."""
        with self._one:
            if self._behind:
                self._replay()
            return not self._behind

    def close(self) -> None:
        """Writes what was submitted, and closes the log; the store stays open."""
        self._log.close()

    def _check(self, rows: Sequence[object]) -> list[Event | str]:
        checked = check_events(rows, time.time())
        places = [place for place, one in enumerate(checked) if isinstance(one, Event)]
        events = [one for one in checked if isinstance(one, Event)]
        for place, fault in zip(places, self._online.faults(events), strict=True):
            if fault:
                checked[place] = fault
        return checked

    def _deliver(self, events: Sequence[Event], before: Position, behind: Position) -> None:
        """Tells the store of new events, in the thread that writes the log."""
        with self._one:
            if self._behind:
                if time.monotonic() - self._tried >= _RETRY_SECONDS:
                    self._replay()
                return
            try:
                self._apply(events, behind)
            except StoreError as error:
                self._fall_behind(error)

    def _replay(self) -> None:
        """Tells the store of all that is in the log behind its mark."""
        self._tried = time.monotonic()
        try:
            mark = self._store.mark(self._mark)
            since = Position(*map(int, mark.split())) if mark else Position(0, 0)
            for events, behind in self._log.read(since):
                self._apply(events, behind, replayed=True)
            self._behind = False
        except StoreError as error:
            self._fall_behind(error)

    def _apply(self, events: Sequence[Event], behind: Position, replayed: bool = False) -> None:
        self._refresh_erased()
        kept = [one for one in events if one.seconds > self._erased.until(one.visitor)]
        self._store.apply(kept, time.time(), replayed)
        self._store.set_mark(self._mark, f"{behind.file} {behind.offset}")

    def _refresh_erased(self) -> None:
        """Reads the tombstones anew when somebody, maybe another replica, has added one."""
        if self._erased_file and self._erased_file.exists():
            size = self._erased_file.stat().st_size
            if size != self._erased_size:
                self._erased, self._erased_size = Erased.read(self._erased_file), size

    def _fall_behind(self, error: StoreError) -> None:
        if not self._behind:
            logger.warning("the feature store is told later of new events: %s", error)
        self._behind = True


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
