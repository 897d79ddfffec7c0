"""How preparation's Beam pipelines are run, and how they count what they reject."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc
from apache_beam.io.textio import WriteToText
from apache_beam.metrics import Metrics, MetricsFilter
from apache_beam.options.pipeline_options import PipelineOptions

REJECTED = "rejected"
_NAMESPACE = "tfrec.prepare"


@dataclass
class Counts:
    """How many rows a pipeline read, and how many of them it rejected and why."""

    read: int = 0
    rejected: dict[str, int] = field(default_factory=dict)

    @property
    def rejected_share(self) -> float:
        """Rejected rows as a share of all rows."""
        return sum(self.rejected.values()) / max(self.read, 1)


def run(runner: str, build: Callable[[beam.Pipeline], None]) -> Counts:
    """Builds a pipeline, runs it to its end, and reads its counters.

    Args:
      runner: name of a Beam runner.
      build: applies the transforms to the pipeline.

    Returns:
      What the pipeline's `accept` calls counted.
    """
    # Beam's own type check does not know `collections.abc.Sequence`; mypy has checked the types.
    options = PipelineOptions(["--runner", runner, "--no_pipeline_type_check"])
    pipeline = beam.Pipeline(options=options)
    build(pipeline)
    result = pipeline.run()
    result.wait_until_finish()
    counts = Counts()
    for counter in result.metrics().query(MetricsFilter().with_namespace(_NAMESPACE))["counters"]:
        name = counter.key.metric.name
        if name == "read":
            counts.read = counter.result
        else:
            counts.rejected[name] = counter.result
    return counts


def accept(
    batch: pa.RecordBatch, faults: dict[str, pa.Array]
) -> Iterator[pa.RecordBatch | beam.pvalue.TaggedOutput]:
    """Yields the rows without a fault, and each other row as a line of JSON tagged `REJECTED`.

    Args:
      batch: rows; columns with a leading underscore are ours and are not written.
      faults: reason -> boolean mask of the rows it applies to; a row's first reason counts.
    """
    Metrics.counter(_NAMESPACE, "read").inc(batch.num_rows)
    good = pa.array([True] * batch.num_rows)
    for reason, mask in faults.items():
        bad = batch.filter(pc.and_(mask, good))
        good = pc.and_not(good, mask)
        if bad.num_rows:
            Metrics.counter(_NAMESPACE, reason).inc(bad.num_rows)
            for row in bad.to_pylist():
                theirs = {name: value for name, value in row.items() if not name.startswith("_")}
                line = json.dumps({"reason": reason, "row": theirs}, default=str)
                yield beam.pvalue.TaggedOutput(REJECTED, line)
    accepted = batch.filter(good)
    if accepted.num_rows:
        yield accepted


def write_rejects(rejected: beam.PCollection, folder: Path, name: str) -> None:
    """Writes rejected rows as lines of JSON, with their reasons."""
    _ = rejected | f"Write{name}Rejects" >> WriteToText(str(folder / name), ".jsonl")
