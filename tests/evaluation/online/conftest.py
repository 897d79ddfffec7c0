"""Event logs and logged choices, written out by hand or drawn."""

import csv
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tfrec.config import validate
from tfrec.evaluation.online.config import OnlineConfig
from tfrec.evaluation.online.event_log import EventLog, read_events

HEADER = ("user", "item", "time", "type", "session", "money", "pieces", "seconds", "arm")
_OPTIONAL = {
    "session": "session",
    "money": "revenue",
    "pieces": "quantity",
    "seconds": "dwell",
    "arm": "arm",
}

Row = Sequence[object]


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    """Writes a CSV file of rows under a header."""
    numbers = count()

    def run(header: Sequence[str], rows: Sequence[Row]) -> str:
        path = tmp_path / f"log-{next(numbers)}.csv"
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([header, *rows])
        return str(path)

    return run


@pytest.fixture
def config_of(write: Callable[..., str]) -> Callable[..., OnlineConfig]:
    """A config of a log whose rows have the columns of `HEADER`, or the first few of them."""

    def run(rows: Sequence[Row], **changes: Any) -> OnlineConfig:
        header = HEADER[: len(rows[0])]
        events = {
            "source": write(header, rows),
            **{"user": "user", "item": "item", "time": "time", "type_column": "type"},
            **{_OPTIONAL[name]: name for name in header if name in _OPTIONAL},
        }
        return validate(OnlineConfig, {"events": events, **changes})

    return run


@pytest.fixture
def log_of(config_of: Callable[..., OnlineConfig]) -> Callable[..., tuple[EventLog, OnlineConfig]]:
    """A log as it is read, and its config."""

    def run(rows: Sequence[Row], **changes: Any) -> tuple[EventLog, OnlineConfig]:
        config = config_of(rows, **changes)
        return read_events(config), config

    return run


@pytest.fixture
def bandit(write: Callable[..., str]) -> Callable[..., dict[str, Any]]:
    """A config's content of an off-policy estimate: a log's rows and a target's."""

    def run(
        log: Mapping[str, Sequence[object]], target: Mapping[str, Sequence[object]], **changes: Any
    ) -> dict[str, Any]:
        def source(columns: Mapping[str, Sequence[object]]) -> str:
            return write([*columns], [*zip(*columns.values(), strict=True)])

        choices = {"source": source(log), "action": "action", "reward": "reward"}
        choices |= {"propensity": "propensity", "context": [n for n in log if n == "place"]}
        told = {"kind": "table", "probability": "probability", "source": source(target)}
        return {"log": choices, "target": told, **changes}

    return run
