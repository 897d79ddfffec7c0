"""What became of the rows of each source."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tfrec.data.counts import Counts

_EXAMPLES = 3
_LONGEST = 300


@dataclass(frozen=True)
class Reject:
    """One rejected row, as a person looks for it.

    Attributes:
      file: name of its file, without the directory.
      line: its number there, from 1.
      row: its content as JSON, cut where it is long.
    """

    file: str
    line: int
    row: str


@dataclass(frozen=True)
class SourceRows:
    """What became of the rows of a source.

    Attributes:
      name: `items`, `promotions` or `events`.
      counts: rows read, rejected and dropped.
      examples: reason -> the first rejected rows.
    """

    name: str
    counts: Counts
    examples: Mapping[str, list[Reject]]


def source_rows(counts: Mapping[str, Counts], rejects: Path) -> list[SourceRows]:
    """Joins what preparation counted with examples of the rows it rejected.

    Args:
      counts: source -> rows read, rejected and dropped.
      rejects: directory of the rejected rows.

    Returns:
      The sources, with three rejected rows for each reason.
    """
    return [SourceRows(name, c, _examples(name, c, rejects)) for name, c in counts.items()]


def _examples(source: str, counts: Counts, rejects: Path) -> dict[str, list[Reject]]:
    """Reads rejected rows until there are enough of every reason."""
    found: dict[str, list[Reject]] = {reason: [] for reason in counts.rejected}
    lacking = {reason: min(rows, _EXAMPLES) for reason, rows in counts.rejected.items()}
    for path in sorted(rejects.glob(f"{source}-*.jsonl")):
        with path.open(encoding="utf-8") as file:
            for line in file:
                if not any(lacking.values()):
                    return found
                reject = json.loads(line)
                if lacking.get(reject["reason"]):
                    lacking[reject["reason"]] -= 1
                    found[reject["reason"]].append(_reject(reject))
    return found


def _reject(line: Mapping) -> Reject:
    row = line["row"]
    text = row if isinstance(row, str) else json.dumps(row, ensure_ascii=False)
    cut = text if len(text) <= _LONGEST else text[:_LONGEST] + " …"
    return Reject(line["file"].rsplit("/", 1)[-1], line["line"], cut)
