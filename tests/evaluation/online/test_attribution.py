from collections.abc import Callable

import numpy as np

from tfrec.evaluation.online.attribution import delays
from tfrec.evaluation.online.event_log import EventLog, Kind


def order_delays(log: EventLog, within: int) -> list[float]:
    return delays(log, log.kinds == Kind.CLICK, log.kinds == Kind.ORDER, within).tolist()


def test_order_is_credited_to_the_last_click_on_its_item(log_of: Callable) -> None:
    log, _ = log_of(
        [["u", "a", 0, "click"], ["u", "a", 5, "click"], ["u", "b", 6, "click"],
         ["v", "a", 7, "click"], ["u", "a", 9, "order"], ["u", "a", 20, "order"]]
    )  # fmt: skip

    assert order_delays(log, 100) == [np.inf, 4, np.inf, np.inf]


def test_window_is_closed_and_ends_credit(log_of: Callable) -> None:
    log, _ = log_of([["u", "a", 0, "click"], ["u", "a", 10, "order"]])

    assert order_delays(log, 10) == [10]
    assert order_delays(log, 9) == [np.inf]


def test_order_without_a_click_is_nobodys(log_of: Callable) -> None:
    log, _ = log_of([["u", "a", 0, "order"], ["u", "a", 1, "click"]])

    assert order_delays(log, 10) == [np.inf]


def test_delays_are_those_of_a_loop_over_events(log_of: Callable) -> None:
    random = np.random.default_rng(3)
    rows = [
        [f"u{random.integers(6)}", f"i{random.integers(4)}", time // 2,
         ("click", "order", "view")[random.integers(3)]]
        for time in range(600)
    ]  # fmt: skip
    log, _ = log_of(rows)

    expected = {}
    for user, item, kind, time in zip(log.users, log.items, log.kinds, log.times, strict=True):
        mine = expected.setdefault((user, item), [])
        if kind == Kind.CLICK:
            mine.append([time, np.inf])
        elif kind == Kind.ORDER and mine and time - mine[-1][0] <= 20:
            mine[-1][1] = min(mine[-1][1], time - mine[-1][0])
    clicks = log.kinds == Kind.CLICK
    left = {key: iter(found) for key, found in expected.items()}
    keys = zip(log.users[clicks], log.items[clicks], strict=True)
    assert order_delays(log, 20) == [next(left[key])[1] for key in keys]
