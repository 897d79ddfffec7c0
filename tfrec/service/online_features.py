"""A shopper's features after each event, as preparation would make them of the same log."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfrec.data.casting import cast_feature
from tfrec.data.catalogue import Catalogue
from tfrec.data.columns import BEHAVIOUR, CALENDAR, Columns
from tfrec.data.config import DataConfig, Log
from tfrec.data.formats.rows import mixed_column
from tfrec.data.values import Faults
from tfrec.features import Feature, FeatureSpec, Vector
from tfrec.service.events import VISITOR, Event
from tfrec.service.shopper_state import Change, ShopperState

WEIGHTS: Mapping[str, float] = {"impression": 0, "hide": 0}
"""What events count while no log of the config is the service's own; those not named count 1."""

_RECENCY, *_FREQUENCIES = BEHAVIOUR
_DAY_SECONDS = 86_400
_KEY_BYTES = 12


class OnlineFeatures:
    """What events change of shoppers' states, and the features that a state gives.

    Preparation decides: an event that it would reject or drop changes nothing here, and each
    feature has the value that a profile would have if the log ended with the shopper's last event.
    The service's own log is the one whose `user` is `visitor`; its weights say what counts.

    Attributes:
      lengths: sequence -> how many events are kept of it.
      gap: silence in seconds after which a new session begins.
    """

    def __init__(
        self, config: DataConfig, spec: FeatureSpec, columns: Columns, catalogue: Catalogue
    ) -> None:
        """Takes the sections of the config, the places of the features, and the items."""
        self._config, self._spec, self._columns = config, spec, columns
        self._catalogue = catalogue
        self._log = next((log for log in config.events if log.user == VISITOR), None)
        self._weights = _weights(config, self._log)
        self._sent: dict[str, Feature] = {name: spec[name] for name in columns.at("event")}
        self._sequences, self._user_features = dict(spec.sequences), spec.of_role("user")
        self.lengths = {name: feature.last for name, feature in self._sequences.items()}
        self.gap = config.session_gap

    @property
    def sent(self) -> list[str]:
        """The features that come with the events, in their context."""
        return list(self._sent)

    def faults(self, events: Sequence[Event]) -> list[str | None]:
        """Why preparation would reject what is sent with events; None where it is right.

        Values that are missing, and items that the catalogue does not have yet, are no faults.
        """
        _, faults = self._cast(events)
        reasons: list[str | None] = [None] * len(events)
        for reason, mask in faults.items():
            for row in np.flatnonzero(mask):
                name = reason.partition(":")[0]
                if name in events[row].context:
                    reasons[row] = reasons[row] or f"context.{reason}"
        return reasons

    def changes(self, events: Sequence[Event]) -> list[Change]:
        """What each event changes."""
        if not events:
            return []
        sent, faults = self._cast(events)
        rows = self._catalogue.rows(pa.array([event.item for event in events], pa.string()))
        bad = rows < 0
        for mask in faults.values():
            bad |= mask.to_numpy(zero_copy_only=False)
        values = {
            name: self._values(feature.of, events, rows, sent)
            for name, feature in self._sequences.items()
        }
        times = pa.array([event.seconds for event in events], pa.timestamp("s"))
        made = self._columns.at("calendar")
        profile = {
            name: pc.strftime(times, format=CALENDAR[name]).to_pylist()
            if name in made
            else sent[name]
            for name in self._user_features
            if name in sent or name in made
        }
        return [
            Change(
                event.visitor,
                event.seconds,
                event.type,
                event.item,
                self._keys(event, [column[row] for column in sent.values()]),
                not bad[row] and self._is_kept(event),
                {name: values[name][row] for name in values if self._is_in(name, event.type)},
                {name: column[row] for name, column in profile.items()},
            )
            for row, event in enumerate(events)
        ]

    def features(
        self, state: ShopperState, user: str, moment: datetime | None = None
    ) -> dict[str, Any]:
        """The raw features of role user that a state gives; the same as `Profiles.find`.

        Args:
          state: the shopper's.
          user: the shopper's id.
          moment: when they are asked for, in UTC where it names no zone; now by default. Within a
            running session, sequences and visits are those of the session.

        Returns:
          Feature -> string, number or list of either, None where the shopper has no value. Of a
          shopper never seen it is only known that all frequencies are 0.
        """
        if state.last is None:
            return dict.fromkeys(_FREQUENCIES, 0.0)
        now = _utc(moment).timestamp()
        running = now - state.last <= self.gap
        made = {
            _RECENCY: max(now - state.last, 0) / _DAY_SECONDS,
            "visits_before": float(state.older_sessions + len(state.sessions) - running),
            "events_before": float(sum(state.counts.values())),
        }
        found: dict[str, Any] = {}
        for name in self._user_features:
            if name in self.lengths:
                found[name] = self._sequence(name, state, running)
            elif self._columns.places[name] == "user":
                found[name] = user
            elif self._columns.places[name] == "behaviour":
                found[name] = made[name]
            else:
                found[name] = state.profile.get(name)
            feature = self._spec[name]
            if isinstance(feature, Vector) and found[name] is None:
                found[name] = [0.0] * feature.dim
        return found

    def _sequence(self, name: str, state: ShopperState, running: bool) -> list[str]:
        since = 0
        if self._sequences[name].within == "session":
            since = state.sessions[-1][0] if running else state.last + 1  # type: ignore[operator]
        kept = state.sequences.get(name, ())
        return [value for time, value in kept if value is not None and time >= since]

    def _cast(self, events: Sequence[Event]) -> tuple[dict[str, list], Faults]:
        """What is sent with events, as preparation casts it, and what is wrong with it."""
        columns: dict[str, list] = {}
        faults: Faults = {}
        for name, feature in self._sent.items():
            values = [event.context.get(name) for event in events]
            plain = [list(value) if isinstance(value, tuple) else value for value in values]
            column, wrong = cast_feature(name, feature, mixed_column(plain), "s", None)
            columns[name] = column.to_pylist()
            faults |= wrong
        return columns, faults

    def _values(
        self, of: str, events: Sequence[Event], rows: np.ndarray, sent: Mapping[str, list]
    ) -> Sequence[str | None]:
        """The raw values of a categorical feature by event."""
        place = self._columns.places[of]
        if place == "user":
            return [event.visitor for event in events]
        if place == "item":
            return [event.item for event in events]
        if place == "catalogue":
            column = self._catalogue.value(of, place)
            return column.take(pa.array(rows, mask=rows < 0)).to_pylist()
        if place == "calendar":
            times = pa.array([event.seconds for event in events], pa.timestamp("s"))
            return pc.strftime(times, format=CALENDAR[of]).to_pylist()
        return sent.get(of, [None] * len(events))

    def _keys(self, event: Event, sent: Sequence[Any]) -> tuple[str, ...]:
        if self._config.clean.duplicates == "keep":
            return (event.id,)
        equal = repr((event.item, event.seconds, event.type, sent))
        digest = hashlib.blake2b(equal.encode(), digest_size=_KEY_BYTES).hexdigest()
        return event.id, f"={digest}"

    def _is_kept(self, event: Event) -> bool:
        clean = self._config.clean
        if self._log and self._log.weights and event.type not in self._log.weights:
            return False
        if clean.after and event.seconds < int(_utc(clean.after).timestamp()):
            return False
        return not (clean.before and event.seconds >= int(_utc(clean.before).timestamp()))

    def _is_in(self, name: str, type_: str) -> bool:
        types = self._sequences[name].types
        return type_ in types if types else self._weights.get(type_, 1.0) > 0


def _weights(config: DataConfig, own: Log | None) -> Mapping[str, float]:
    named = {name: weight for log in config.events for name, weight in log.weights.items()}
    return named if own else {**WEIGHTS, **named}


def _utc(moment: datetime | None) -> datetime:
    if moment is None:
        return datetime.now(timezone.utc)
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
