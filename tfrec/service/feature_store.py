"""What is known of shoppers now, behind one interface."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from tfrec.service.events import Event
from tfrec.service.online_features import OnlineFeatures
from tfrec.service.shopper_state import Change, PushedState, ShopperState

REMEMBER_SECONDS = 7 * 86_400
"""How long a store knows the ids of events that it took, and the sessions of anonymous shoppers."""


class StoreError(Exception):
    """The store does not answer."""


class Shopper(NamedTuple):
    """What is known of a shopper.

    Attributes:
      user: the id, or what stands for an anonymous session.
      is_known: whether there is any event.
      features: raw features of role user; see `OnlineFeatures.features`.
      hidden: ids of items that the shopper has hidden.
      counts: event type -> number of events.
      last: time of the latest event, in seconds since 1970; None without one.
    """

    user: str
    is_known: bool
    features: dict[str, Any]
    hidden: list[str]
    counts: dict[str, int]
    last: int | None


class Record(NamedTuple):
    """What a store keeps of a shopper."""

    state: ShopperState
    hidden: list[str]


class Put(NamedTuple):
    """What became of states that were pushed.

    Attributes:
      put: how many were put.
      partial: how many were not, though what is kept instead began with an event, in a store that
        did not have what came before it.
    """

    put: int
    partial: int


class FeatureStore(ABC):
    """Shoppers' states, changed by events and read by the next request.

    Whoever reads sees all of a list of a shopper's events or none. An event is taken once, however
    often it is given.
    """

    def __init__(self, online: OnlineFeatures) -> None:
        """Takes what events change."""
        self._online = online

    def find(self, user: str, moment: datetime | None = None) -> Shopper:
        """Finds what is known of a shopper.

        Args:
          user: the shopper's id, or what stands for an anonymous session.
          moment: when they are asked for, in UTC where it names no zone; now by default.

        Returns:
          The shopper; one that is unknown has nothing but frequencies of 0.

        Raises:
          StoreError: if the store does not answer.
        """
        state, hidden = self._get(user) or Record(ShopperState(), [])
        features = self._online.features(state, user, moment)
        is_known = state.last is not None
        return Shopper(user, is_known, features, hidden, state.counts, state.last)

    def apply(self, events: Sequence[Event], now: float, replayed: bool = False) -> int:
        """Takes events; those that it took before change nothing.

        Args:
          events: in the order of the log.
          now: the moment, in seconds since 1970.
          replayed: whether they may be older than what was pushed since; then the time tells what
            of a shopper is pushed already.

        Returns:
          How many it took.

        Raises:
          StoreError: if the store does not answer. It may have taken some, and can be given all of
            them again.
        """
        by_user: dict[str, list[Change]] = {}
        for change in self._online.changes(events):
            by_user.setdefault(change.user, []).append(change)
        return self._apply(by_user, now, replayed)

    @abstractmethod
    def push(self, states: Iterable[PushedState]) -> Put:
        """Puts states in the place of those that are not newer.

        A shopper whose last event is newer here keeps the state, which has all that came in by the
        service. Hidden items stay as they are.

        Returns:
          How many were put, and how many should have been.

        Raises:
          StoreError: if the store does not answer. It may have put some.
        """

    @abstractmethod
    def erase(self, user: str) -> bool:
        """Removes all that is known of a shopper, and returns whether there was anything.

        Raises:
          StoreError: if the store does not answer.
        """

    @abstractmethod
    def mark(self, name: str) -> str | None:
        """A note that `set_mark` made, such as how far a log has been applied."""

    @abstractmethod
    def set_mark(self, name: str, value: str) -> None:
        """Makes a note, in the place of the one of the same name."""

    @abstractmethod
    def move_mark(self, name: str, before: str | None, value: str) -> bool:
        """Makes a note if it still is `before`, and returns whether it was.

        It is not where the store came back as it was at an earlier moment.
        """

    @abstractmethod
    def close(self) -> None:
        """Lets go of files and connections."""

    @abstractmethod
    def _get(self, user: str) -> Record | None:
        """What is kept of a shopper."""

    @abstractmethod
    def _apply(self, changes: Mapping[str, Sequence[Change]], now: float, replayed: bool) -> int:
        """Takes each shopper's changes as a whole."""

    def _take(
        self,
        record: Record,
        changes: Sequence[Change],
        is_new: Callable[[str], bool],
        replayed: bool,
    ) -> int:
        """Changes a record, and returns by how many events.

        Args:
          record: a shopper's.
          changes: the shopper's.
          is_new: notes a key, and returns whether it was not there.
          replayed: see `apply`.
        """
        taken, until = 0, record.state.known_until
        for change in changes:
            if not all(is_new(key) for key in change.keys):
                continue
            taken += 1
            if change.type == "hide" and change.item not in record.hidden:
                record.hidden.append(change.item)
            is_pushed = replayed and until is not None and change.seconds <= until
            if change.counts and not is_pushed:
                record.state.take(change, self._online.lengths, self._online.gap)
        return taken
