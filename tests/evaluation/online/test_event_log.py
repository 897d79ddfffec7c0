from collections.abc import Callable
from datetime import datetime

import numpy as np
import pytest

from tfrec.config import validate
from tfrec.errors import UserError
from tfrec.evaluation.online.config import OnlineConfig
from tfrec.evaluation.online.event_log import Kind, read_events


def test_events_stand_by_shopper_time_and_kind(log_of: Callable) -> None:
    log, _ = log_of(
        [["u", "a", 9, "order"], ["v", "a", 1, "look"], ["u", "a", 9, "click"], ["u", "b", 3, "x"]]
    )

    assert log.users.tolist() == [0, 0, 0, 1]
    assert log.times.tolist() == [3, 9, 9, 1]
    assert log.kinds.tolist() == [Kind.OTHER, Kind.CLICK, Kind.ORDER, Kind.OTHER]
    assert log.as_of == 9


def test_silence_ends_a_session(log_of: Callable) -> None:
    log, _ = log_of([["u", "a", time, "click"] for time in (0, 60, 1861)], session_gap="30m")

    assert log.sessions[0] == log.sessions[1] != log.sessions[2]


def test_session_of_the_log_counts_but_only_within_a_shopper(log_of: Callable) -> None:
    log, _ = log_of(
        [["u", "a", 0, "click", "s"], ["u", "a", 9999, "click", "s"], ["v", "a", 5, "click", "s"]]
    )

    assert log.sessions[0] == log.sessions[1] != log.sessions[2]


def test_money_is_price_times_pieces(log_of: Callable) -> None:
    log, _ = log_of([["u", "a", 0, "order", "s", 2.5, 3], ["u", "a", 1, "order", "s", "", 3]])

    assert log.revenue.tolist()[0] == 7.5
    assert np.isnan(log.revenue[1])


def test_events_after_the_end_are_left_out_and_counted(log_of: Callable) -> None:
    log, _ = log_of([["u", "a", 86_399, "click"], ["u", "a", 86_401, "click"]], as_of="1970-01-02")

    assert log.times.tolist() == [86_399]
    assert (log.as_of, log.left_out) == (86_400, {"after as_of": 1})


def test_end_before_the_log_is_refused(log_of: Callable) -> None:
    with pytest.raises(UserError, match=r"as_of: 1970-01-01.*no event up to then"):
        log_of([["u", "a", 99, "click"]], as_of=datetime(1970, 1, 1))


def test_several_logs_are_one(write: Callable[..., str]) -> None:
    columns = {"user": "user", "item": "item", "time": "time"}
    clicks = write(["user", "item", "time"], [["u", "a", 1]])
    orders = write(["user", "item", "time", "money"], [["u", "a", 2, 5], ["v", "a", 2, 6]])
    config = validate(
        OnlineConfig,
        {
            "events": [
                {"source": clicks, "type": "click", **columns},
                {"source": orders, "type": "order", "revenue": "money", **columns},
            ]
        },
    )

    log = read_events(config)

    assert log.user_count == 2
    assert log.kinds.tolist() == [Kind.CLICK, Kind.ORDER, Kind.ORDER]
    assert np.nan_to_num(log.revenue, nan=-1).tolist() == [-1, 5, 6]
    assert log.types == ("click", "order")


def test_arms_are_those_of_the_test_that_is_named(config_of: Callable) -> None:
    labels = ["a.b=old;x=1", "x=2;a.b=new", "xa.b=no;x=3", "aXb=no", "", "a.b=o=d"]
    rows = [["u", "i", n, "x", "", "", "", "", label] for n, label in enumerate(labels)]
    config = config_of(rows)
    events = config.events.model_copy(update={"experiment": "a.b"})

    log = read_events(config.model_copy(update={"events": events}))

    names = [log.arm_names[arm] if arm >= 0 else None for arm in log.arms]
    assert names == ["old", "new", None, None, None, "o=d"]


def test_test_without_a_column_of_arms_is_told() -> None:
    source = {"source": "x.csv", "user": "u", "item": "i", "time": "t", "experiment": "ranker"}

    with pytest.raises(UserError, match="events: experiment without arm; say in arm which column"):
        validate(OnlineConfig, {"events": source})
