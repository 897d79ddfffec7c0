import json
from pathlib import Path

from tfrec.data.counts import Counts
from tfrec.data.report.rows import source_rows


def write(path: Path, *reasons: str, row: object = None) -> None:
    lines = [
        {"file": "/some/where/log.csv", "line": number, "reason": reason, "row": row}
        for number, reason in enumerate(reasons, 1)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_three_rows_are_shown_for_each_reason(tmp_path: Path) -> None:
    write(tmp_path / "events-0.jsonl", *["no user"] * 4, "no item", row={"user": None})
    write(tmp_path / "items-0.jsonl", "no user")
    counts = {"events": Counts(9, {"no user": 4, "no item": 1}), "items": Counts(2)}

    events, items = source_rows(counts, tmp_path)

    assert [reject.line for reject in events.examples["no user"]] == [1, 2, 3]
    (reject,) = events.examples["no item"]
    assert (reject.file, reject.line, reject.row) == ("log.csv", 5, '{"user": null}')
    assert items.examples == {}


def test_long_rows_are_cut(tmp_path: Path) -> None:
    write(tmp_path / "events-0.jsonl", "unreadable", row="x" * 5000)

    (events,) = source_rows({"events": Counts(1, {"unreadable": 1})}, tmp_path)

    (reject,) = events.examples["unreadable"]
    assert len(reject.row) < 400
    assert reject.row.endswith("…")
