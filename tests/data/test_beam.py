from pathlib import Path

import apache_beam as beam
import pytest

from tfrec.data import counts
from tfrec.data.beam import check_readable, run, write_lines
from tfrec.data.counts import Counts
from tfrec.data.engine import BeamConfig
from tfrec.data.sources import BadRow
from tfrec.errors import UserError


def test_run_tells_what_the_pipeline_counted_and_writes_its_lines(tmp_path: Path) -> None:
    def count(rows: int) -> str:
        counts.read(rows)
        counts.drop("duplicate", rows - 3)
        return counts.reject_unread(BadRow("log", rows, "broken", "text"))

    def build(pipeline: beam.Pipeline) -> None:
        lines = pipeline | beam.Create([3, 4, 5]) | beam.Map(count)
        write_lines(lines, tmp_path, "events.jsonl")

    counted = run(BeamConfig(), build)

    assert counted == Counts(read=15, rejected={"broken": 3}, dropped={"duplicate": 3})
    assert counted.kept == 9
    written = [line for f in tmp_path.glob("events-*.jsonl") for line in f.read_text().splitlines()]
    assert len(written) == 3


def test_unreadable_sources_are_named_but_not_endlessly(tmp_path: Path) -> None:
    (tmp_path / "unreadable-events-0.txt").write_text("e.csv: torn\nb.csv: torn\nd.csv: torn\n")
    (tmp_path / "unreadable-items-0.txt").write_text("c.csv: torn\na.csv: torn\n")

    with pytest.raises(UserError) as caught:
        check_readable(tmp_path)

    assert str(caught.value).splitlines() == [
        "a.csv: torn", "b.csv: torn", "c.csv: torn", "and 2 more files"
    ]  # fmt: skip


def test_sources_that_were_read_are_no_error(tmp_path: Path) -> None:
    (tmp_path / "unreadable-events-0.txt").write_text("")
    (tmp_path / "events-0.jsonl").write_text('{"reason": "odd"}\n')

    check_readable(tmp_path)
