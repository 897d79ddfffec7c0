"""Counting the rows that preparation leaves out, and saying why."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from apache_beam.metrics import Metrics, MetricsFilter
from apache_beam.metrics.metric import MetricResults

from tfrec.data.sources import FILE, LINE, BadRow

_READ, _REJECTED, _DROPPED = "tfrec.read", "tfrec.rejected", "tfrec.dropped"


REJECTED = "rejected"
"""Tag of the lines that say which rows were rejected and why."""


@dataclass
class Counts:
    """What a pipeline did with the rows it read.

    Attributes:
      read: all rows.
      rejected: reason -> rows that cannot be right.
      dropped: reason -> rows that the config leaves out.
    """

    read: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)

    @property
    def rejected_share(self) -> float:
        """Rejected rows as a share of all rows."""
        return sum(self.rejected.values()) / max(self.read, 1)

    @property
    def kept(self) -> int:
        """Rows that are left."""
        return self.read - sum(self.rejected.values()) - sum(self.dropped.values())


def counts_of(metrics: MetricResults) -> Counts:
    """Reads off a finished pipeline what it counted."""
    counts = Counts()
    for counter in metrics.query(MetricsFilter())["counters"]:
        namespace, reason = counter.key.metric.namespace, counter.key.metric.name
        if namespace == _READ:
            counts.read += counter.result
        elif namespace == _REJECTED:
            counts.rejected[reason] = counts.rejected.get(reason, 0) + counter.result
        elif namespace == _DROPPED:
            counts.dropped[reason] = counts.dropped.get(reason, 0) + counter.result
    return counts


def drop(reason: str, rows: int) -> None:
    """Counts rows that the config leaves out."""
    if rows:
        Metrics.counter(_DROPPED, reason).inc(rows)


def read(rows: int) -> None:
    """Counts rows that were read."""
    Metrics.counter(_READ, "rows").inc(rows)


def reject(
    batch: pa.RecordBatch | pa.Table, faults: Mapping[str, pa.Array]
) -> tuple[pa.Array, list[str]]:
    """Counts the rows that have a fault.

    Args:
      batch: raw rows, with their file and line.
      faults: reason -> `[rows]` mask of the rows it applies to; a row's first reason counts.

    Returns:
      `[rows]` mask of the rows without a fault, and a line of JSON for each other row.
    """
    good = pa.array([True] * batch.num_rows, pa.bool_())
    lines = []
    for reason, mask in faults.items():
        bad = batch.filter(pc.and_(mask, good))
        good = pc.and_not(good, mask)
        if bad.num_rows:
            Metrics.counter(_REJECTED, reason).inc(bad.num_rows)
            for row in _rows(bad):
                file, line = row.pop(FILE), row.pop(LINE)
                lines.append(_line(reason, file, line, row))
    return good, lines


def reject_unread(row: BadRow) -> str:
    """Counts a row that could not even be read, and makes its line of JSON."""
    read(1)
    Metrics.counter(_REJECTED, row.reason).inc()
    return _line(row.reason, row.file, row.line, row.text)


def _rows(batch: pa.RecordBatch | pa.Table) -> list[dict[str, Any]]:
    """Python values of all rows; Arrow may hold strings that are not UTF-8, which Python cannot."""
    columns = [
        column.cast(pa.binary()) if pa.types.is_string(column.type) else column
        for column in batch.columns
    ]
    return pa.table(columns, batch.schema.names).to_pylist()


def _line(reason: str, file: str, line: int, row: object) -> str:
    content = {"file": file, "line": line, "reason": reason, "row": row}
    return json.dumps(content, default=_text, ensure_ascii=False)


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
