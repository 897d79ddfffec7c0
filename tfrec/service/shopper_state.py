"""What is kept of a shopper: enough to know the features now, and to take further events."""

from bisect import bisect_left, insort
from collections.abc import Mapping
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, NamedTuple

import orjson

MOST_SESSIONS = 64
"""Latest sessions that are kept apart, so that a late event finds the one that it belongs to."""


class Change(NamedTuple):
    """What an event changes of a shopper's state.

    Attributes:
      user: whose state.
      seconds: time of the event, in seconds since 1970.
      type: of the event.
      item: of the event.
      keys: the event's id, and what it is equal in to another one that preparation would drop.
      counts: whether preparation would keep the event.
      values: sequence that the event belongs to -> its value there, None where it has none.
      profile: feature -> its value with the event.
    """

    user: str
    seconds: int
    type: str
    item: str
    keys: tuple[str, ...]
    counts: bool
    values: Mapping[str, str | None]
    profile: Mapping[str, Any]


@dataclass
class ShopperState:
    """A shopper's events in short.

    Attributes:
      last: time of the latest event; None without one.
      known_until: time of the latest event that was pushed from prepared data.
      counts: event type -> number of events.
      older_sessions: number of sessions before those of `sessions`.
      sessions: times of the first and the last event of the latest sessions.
      sequences: sequence -> times and values of its latest events, oldest first.
      profile: feature -> its value with the latest event.
    """

    last: int | None = None
    known_until: int | None = None
    counts: dict[str, int] = field(default_factory=dict)
    older_sessions: int = 0
    sessions: list[list[int]] = field(default_factory=list)
    sequences: dict[str, list[list[Any]]] = field(default_factory=dict)
    profile: dict[str, Any] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """Writes the state as JSON."""
        return orjson.dumps(self)

    @classmethod
    def from_bytes(cls, content: bytes) -> "ShopperState":
        """Reads what `to_bytes` wrote."""
        return cls(**orjson.loads(content))

    def take(self, change: Change, lengths: Mapping[str, int], gap: int) -> None:
        """Takes an event, which may be older than the latest.

        Events of one second stand in the order in which they are taken.

        Args:
          change: what the event changes.
          lengths: sequence -> how many events are kept of it.
          gap: silence in seconds after which a new session begins.
        """
        self.counts[change.type] = self.counts.get(change.type, 0) + 1
        self._join_session(change.seconds, gap)
        for name, value in change.values.items():
            kept = self.sequences.setdefault(name, [])
            insort(kept, [change.seconds, value], key=itemgetter(0))
            del kept[: -lengths[name]]
        if self.last is None or change.seconds >= self.last:
            self.last, self.profile = change.seconds, dict(change.profile)

    def _join_session(self, seconds: int, gap: int) -> None:
        """Widens the session of a moment, joins the two that it lies between, or begins one."""
        first = bisect_left(self.sessions, seconds - gap, key=itemgetter(1))
        near = [one for one in self.sessions[first : first + 2] if one[0] - gap <= seconds]
        if not near and first == 0 and self.older_sessions:
            return  # older than what is kept: it is taken to be of a session that is counted
        moments = [seconds, *(moment for one in near for moment in one)]
        self.sessions[first : first + len(near)] = [[min(moments), max(moments)]]
        if len(self.sessions) > MOST_SESSIONS:
            del self.sessions[0]
            self.older_sessions += 1


class PushedState(NamedTuple):
    """A shopper's state after the last prepared event.

    Attributes:
      user: the shopper's id.
      first: time of the first event, in seconds since 1970.
      state: the state.
      hidden: ids of the items that the shopper has hidden.
    """

    user: str
    first: int
    state: ShopperState
    hidden: list[str]
