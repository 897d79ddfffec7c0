"""What impressions, clicks and orders are measured by, as two sums over shoppers each."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tfrec.errors import UserError
from tfrec.evaluation.online.attribution import delays
from tfrec.evaluation.online.config import OnlineConfig
from tfrec.evaluation.online.delays import NotGivenError, followed
from tfrec.evaluation.online.event_log import EventLog, Kind


@dataclass(frozen=True)
class Sums:
    """A measure of each shopper; its value is the ratio of the sums over shoppers.

    Attributes:
      numerators: `[users]` float64.
      denominators: `[users]` float64.
      left_out: reason -> what does not count.
    """

    numerators: np.ndarray
    denominators: np.ndarray
    left_out: dict[str, int]


@dataclass(frozen=True)
class Measure:
    """A way to measure a log.

    Attributes:
      meaning: in a line.
      needs: the kinds of events without which it is nothing.
      sums: log, config -> sums over shoppers.
      lower_is_better: whether less of it is good.
    """

    meaning: str
    needs: tuple[Kind, ...]
    sums: Callable[[EventLog, OnlineConfig], Sums]
    lower_is_better: bool = False


def measure_log(log: EventLog, config: OnlineConfig) -> tuple[dict[str, Sums], dict[str, str]]:
    """Measures a log.

    Args:
      log: the events.
      config: what to measure.

    Returns:
      Metric -> sums; and, where the config names no metrics, metric -> why the log cannot give it.

    Raises:
      UserError: if the config names a metric that is not known, or that the log cannot give.
    """
    if unknown := [name for name in config.metrics if name not in MEASURES]:
        raise UserError(f"metrics: {', '.join(unknown)}: not known; known: {', '.join(MEASURES)}")
    found, not_given = {}, {}
    for name in config.metrics or MEASURES:
        try:
            _check_kinds(log, config, MEASURES[name])
            found[name] = MEASURES[name].sums(log, config)
        except NotGivenError as error:
            if config.metrics:
                raise UserError(f"metrics: {name}: {error}") from None
            not_given[name] = str(error)
    return found, not_given


def _check_kinds(log: EventLog, config: OnlineConfig, measure: Measure) -> None:
    for kind in measure.needs:
        if not (log.kinds == kind).any():
            name = kind.name.lower()
            types = " or ".join(getattr(config.types, name))
            raise NotGivenError(
                f"needs events of type {types}, and the log has only {', '.join(log.types)}; "
                f"say in types.{name} what they are called"
            )


def _click_through(log: EventLog, config: OnlineConfig) -> Sums:
    return _followed(log, Kind.IMPRESSION, Kind.CLICK, config.click_within, config)


def _conversion(log: EventLog, config: OnlineConfig) -> Sums:
    return _followed(log, Kind.CLICK, Kind.ORDER, config.order_within, config)


def _followed(log: EventLog, start: Kind, effect: Kind, within: int, config: OnlineConfig) -> Sums:
    """How many events of one kind were followed by one of another kind."""
    starts = log.kinds == start
    waited = delays(log, starts, log.kinds == effect, within)
    counts = followed(waited, log.as_of - log.times[starts], within, config.late)
    return Sums(
        log.per_user(starts, counts.happened),
        log.per_user(starts, counts.counted),
        _reasons({f"{start.name.lower()}s too young": counts.left_out}),
    )


def _revenue_per_session(log: EventLog, config: OnlineConfig) -> Sums:
    if log.revenue is None:
        raise NotGivenError("needs the money of orders; say in events.revenue which column it is")
    priced = (log.kinds == Kind.ORDER) & np.isfinite(log.revenue)
    unpriced = int((log.kinds == Kind.ORDER).sum() - priced.sum())
    return Sums(
        log.per_user(priced, log.revenue[priced]),
        log.per_user(_first_of_sessions(log)),
        _reasons({"orders without money": unpriced}),
    )


def _order_sessions(log: EventLog, config: OnlineConfig) -> Sums:
    orders = np.flatnonzero(log.kinds == Kind.ORDER)
    _, first = np.unique(log.sessions[orders], return_index=True)
    return Sums(log.per_user(orders[first]), log.per_user(_first_of_sessions(log)), {})


def _long_clicks(log: EventLog, config: OnlineConfig) -> Sums:
    clicks = log.kinds == Kind.CLICK
    dwell = (_until_next(log) if log.dwell is None else log.dwell)[clicks]
    known = np.isfinite(dwell)
    if not known.any():
        raise NotGivenError(
            "needs a click that something follows in its session; say in events.dwell which "
            "column has the seconds"
        )
    return Sums(
        log.per_user(clicks, (known & (dwell >= config.long_click)).astype(np.float64)),
        log.per_user(clicks, known.astype(np.float64)),
        _reasons({"clicks that end their session": int((~known).sum())}),
    )


def _returns(log: EventLog, config: OnlineConfig) -> Sums:
    first = _first_of_sessions(log)
    ends = np.zeros(log.sessions.max() + 1, np.int64)
    np.maximum.at(ends, log.sessions, log.times)
    ended = ends[log.sessions[first]]
    same = np.append(log.users[first][1:] == log.users[first][:-1], False)
    next_begin = np.append(log.times[first][1:], 0)
    waited = np.where(same, next_begin - ended, np.inf)
    counts = followed(waited, log.as_of - ended, config.return_within, config.late)
    return Sums(
        log.per_user(first, counts.happened),
        log.per_user(first, counts.counted),
        _reasons({"sessions too young": counts.left_out}),
    )


def _hides(log: EventLog, config: OnlineConfig) -> Sums:
    return Sums(
        log.per_user(log.kinds == Kind.HIDE), log.per_user(log.kinds == Kind.IMPRESSION), {}
    )


def _first_of_sessions(log: EventLog) -> np.ndarray:
    """Rows of the first event of each session, by shopper and time: `[sessions]` int64."""
    return np.sort(np.unique(log.sessions, return_index=True)[1])


def _until_next(log: EventLog) -> np.ndarray:
    """Seconds from each event to the next one of its session; NaN for the last one."""
    order = np.argsort(log.sessions, kind="stable")
    sessions, times = log.sessions[order], log.times[order]
    waited = np.full(len(log), np.nan)
    same = np.flatnonzero(sessions[1:] == sessions[:-1])
    waited[order[same]] = times[same + 1] - times[same]
    return waited


def _reasons(counts: dict[str, int]) -> dict[str, int]:
    return {reason: count for reason, count in counts.items() if count}


MEASURES = {
    "click_through": Measure(
        "impressions that the shopper clicked",
        (Kind.IMPRESSION, Kind.CLICK),
        _click_through,
    ),
    "conversion": Measure(
        "clicks that led to an order of the item", (Kind.CLICK, Kind.ORDER), _conversion
    ),
    "revenue_per_session": Measure("money of orders", (Kind.ORDER,), _revenue_per_session),
    "order_sessions": Measure("sessions with an order", (Kind.ORDER,), _order_sessions),
    "long_clicks": Measure("clicks on a page that stayed open", (Kind.CLICK,), _long_clicks),
    "returns": Measure("sessions after which the shopper came back", (), _returns),
    "hides": Measure(
        "hidden items for each impression",
        (Kind.IMPRESSION, Kind.HIDE),
        _hides,
        lower_is_better=True,
    ),
}
"""Metric -> how it is measured."""
