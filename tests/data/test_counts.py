import json

import pyarrow as pa
import pytest

from tfrec.data.counts import Counts, reject, reject_unread
from tfrec.data.sources import FILE, LINE, BadRow


def batch_of(**columns: object) -> pa.RecordBatch:
    rows = len(next(iter(columns.values())))
    file = pa.array(["log.csv"] * rows).dictionary_encode()
    return pa.RecordBatch.from_pydict({**columns, FILE: file, LINE: list(range(2, 2 + rows))})


def test_rows_without_a_fault_are_good_and_others_have_their_first_reason() -> None:
    faults = {
        "odd": pa.array([False, True, False, True]),
        "large": pa.array([False, False, True, True]),
    }

    good, lines = reject(batch_of(n=[0, 1, 2, 3]), faults)

    assert good.to_pylist() == [True, False, False, False]
    assert [json.loads(line) for line in lines] == [
        {"file": "log.csv", "line": 3, "reason": "odd", "row": {"n": 1}},
        {"file": "log.csv", "line": 5, "reason": "odd", "row": {"n": 3}},
        {"file": "log.csv", "line": 4, "reason": "large", "row": {"n": 2}},
    ]


def test_batch_without_faults_is_good_and_gives_no_line() -> None:
    good, lines = reject(batch_of(n=[0, 1]), {})

    assert good.to_pylist() == [True, True]
    assert lines == []


def test_no_rows_give_no_line() -> None:
    good, lines = reject(batch_of(n=[]), {"odd": pa.array([], pa.bool_())})

    assert len(good) == 0
    assert lines == []


@pytest.mark.parametrize(
    ("column", "shown"),
    [
        (pa.array(["Ünï"]), "Ünï"),
        (pa.array([b"caf\xc3\xa9"]), "café"),
        (pa.array([b"caf\xe9"]), "caf\N{REPLACEMENT CHARACTER}"),
        (pa.array([b"caf\xe9"]).view(pa.string()), "caf\N{REPLACEMENT CHARACTER}"),
        (pa.array([[b"u1", b"\xff"]]), ["u1", "\N{REPLACEMENT CHARACTER}"]),
        (pa.array([1_577_934_245], pa.timestamp("s")), "2020-01-02 03:04:05"),
        (pa.array([None]), None),
    ],
)
def test_line_shows_the_row_whatever_its_types(column: pa.Array, shown: object) -> None:
    _, (line,) = reject(batch_of(value=column), {"bad": pa.array([True])})

    assert json.loads(line)["row"] == {"value": shown}


def test_row_that_could_not_be_read_is_shown_as_text() -> None:
    line = reject_unread(BadRow("log.csv", 7, "wrong number of columns", "a,b,c"))

    assert json.loads(line) == {
        "file": "log.csv", "line": 7, "reason": "wrong number of columns", "row": "a,b,c"
    }  # fmt: skip


def test_rows_are_read_and_then_rejected_dropped_or_kept() -> None:
    counts = Counts(read=10, rejected={"odd": 1, "large": 2}, dropped={"duplicate": 3})

    assert counts.kept == 4
    assert counts.rejected_share == pytest.approx(0.3)
    assert Counts().kept == Counts().rejected_share == 0
