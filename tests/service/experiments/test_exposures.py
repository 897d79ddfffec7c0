import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import orjson
import pytest

from tfrec.service.api import Slate, SlateItem
from tfrec.service.event_log import LogError
from tfrec.service.experiments.exposures import Exposures
from tfrec.service.intake import Intake, Verdict

NOW = time.time()
DROPPED = "tfrec_gateway_exposures_dropped_total"


def slate(request_id: str, items: Sequence[str], **fields: Any) -> Slate:
    shown = [
        SlateItem(
            id=item, name=item, position=place, score=1.0, source="popular", propensity=1 / place
        )
        for place, item in enumerate(items, 1)
    ]
    return Slate(request_id=request_id, scenario="home", items=tuple(shown), **fields)


class Submits:
    """Takes rows in as it is told to."""

    def __init__(self) -> None:
        self.rows: list[Any] = []
        self.fault: Exception | None = None
        self.arrived, self.may_go = threading.Event(), threading.Event()
        self.may_go.set()

    def __call__(self, rows: Sequence[Any]) -> "Future[list[Verdict]]":
        self.arrived.set()
        assert self.may_go.wait(60)
        if self.fault:
            raise self.fault
        self.rows += rows
        answer: Future[list[Verdict]] = Future()
        answer.set_result([_verdict(row) for row in rows])
        return answer


def _verdict(row: Any) -> Verdict:
    if row["item"] == "bad":
        return Verdict(row["id"], "rejected", "item: 'bad': not good")
    return Verdict(row["id"], "accepted")


@pytest.fixture
def submits() -> Submits:
    return Submits()


@pytest.fixture
def begin(submits: Submits) -> Iterator[Callable[..., Exposures]]:
    opened = []

    def run(**fields: Any) -> Exposures:
        opened.append(Exposures(submits, lambda rows, verdicts: None, **fields))
        return opened[-1]

    yield run
    submits.may_go.set()
    for one in opened:
        one.close()


def test_each_place_is_an_impression_in_the_log(tmp_path: Path, intake: Intake) -> None:
    counted: list[tuple[Any, Verdict]] = []
    exposures = Exposures(
        intake.submit, lambda rows, verdicts: counted.extend(zip(rows, verdicts, strict=True))
    )
    arms = {"ranker": "both", "worth": "old"}
    dealt = slate("r1", ["item-1", "item-2"], arms=arms)

    assert exposures.note(dealt, "ann", None, ["ranker=old", "ranker=new"], NOW)
    assert exposures.note(slate("r2", ["item-3"]), None, "s1", now=NOW)
    assert exposures.note(dealt, "ann", None, ["ranker=old", "ranker=new"], NOW)
    exposures.close()
    intake.close()

    (file,) = (tmp_path / "events").glob("events-*.jsonl")
    rows = [orjson.loads(line) for line in file.read_bytes().splitlines()]
    fields = ("id", "type", "visitor", "item", "request", "scenario", "position", "propensity")
    assert [tuple(row[name] for name in fields) for row in rows] == [
        ("r1.1", "impression", "ann", "item-1", "r1", "home", 1, 1.0),
        ("r1.2", "impression", "ann", "item-2", "r1", "home", 2, 0.5),
        ("r2.1", "impression", "anonymous:s1", "item-3", "r2", "home", 1, 1.0),
    ]
    assert [(row["arm"], row["team"]) for row in rows] == [
        ("ranker=both;worth=old", "ranker=old"),
        ("ranker=both;worth=old", "ranker=new"),
        (None, None),
    ]
    assert all(row["time"] == NOW for row in rows)
    statuses = [(row["id"], verdict.status) for row, verdict in counted]
    assert sorted(statuses) == sorted(
        [(row["id"], "accepted") for row in rows] + [(f"r1.{n}", "duplicate") for n in (1, 2)]
    )


def test_nobodys_and_empty_slates_are_not_logged(
    begin: Callable[..., Exposures], submits: Submits
) -> None:
    exposures = begin()

    assert not exposures.note(slate("r1", ["a"]), None, None)
    assert not exposures.note(slate("r2", []), "ann", None)
    exposures.close()

    assert submits.rows == []


def test_slates_are_dropped_and_counted_where_the_log_does_not_keep_up(
    begin: Callable[..., Exposures], submits: Submits, counted: Callable[[str], float]
) -> None:
    counted(DROPPED)
    exposures = begin(most_waiting=1)
    submits.may_go.clear()

    assert exposures.note(slate("r1", ["a"]), "ann", None)
    assert submits.arrived.wait(60)
    assert exposures.note(slate("r2", ["a", "b"]), "ann", None)
    assert not exposures.note(slate("r3", ["a", "b", "c"]), "ann", None)
    submits.may_go.set()
    exposures.close()

    assert [row["id"] for row in submits.rows] == ["r1.1", "r2.1", "r2.2"]
    assert counted(DROPPED) == 3


def test_log_that_fails_loses_no_later_slates(
    begin: Callable[..., Exposures],
    submits: Submits,
    counted: Callable[[str], float],
    caplog: pytest.LogCaptureFixture,
) -> None:
    counted(DROPPED)
    exposures = begin()
    submits.fault = LogError("no space left")
    exposures.note(slate("r1", ["a", "b"]), "ann", None)
    assert submits.arrived.wait(60)
    exposures.close()
    submits.fault = None
    exposures = begin()

    exposures.note(slate("r2", ["a", "bad"]), "ann", None)
    exposures.close()

    assert [row["id"] for row in submits.rows] == ["r2.1", "r2.2"]
    assert counted(DROPPED) == 3
    assert "impressions are not logged: no space left" in caplog.text
    assert "impressions are not logged: item: 'bad': not good" in caplog.text


def test_close_may_be_called_twice(begin: Callable[..., Exposures]) -> None:
    exposures = begin()
    exposures.close()
    exposures.close()

    assert exposures.note(slate("r1", ["a"]), "ann", None) is False
