"""How preparation's Beam pipelines are run."""

import contextlib
from collections.abc import Callable
from pathlib import Path

import apache_beam as beam
from apache_beam.io.textio import WriteToText

from tfrec.data.counts import Counts, counts_of
from tfrec.data.engine import BeamConfig, pipeline_options
from tfrec.data.flink import flink_job_server
from tfrec.errors import UserError

_SHOWN = 3


def run(config: BeamConfig, build: Callable[[beam.Pipeline], None]) -> Counts:
    """Builds a pipeline, runs it to its end, and reads its counters.

    Args:
      config: the `data.beam` section.
      build: applies the transforms to the pipeline.

    Returns:
      What the pipeline counted.

    Raises:
      UserError: if the runner's own server cannot be started.
    """
    options = pipeline_options(config)
    flink = config.runner == "FlinkRunner"
    with flink_job_server(options) if flink else contextlib.nullcontext():
        pipeline = beam.Pipeline(options=options)
        build(pipeline)
        result = pipeline.run()
        result.wait_until_finish()
        return counts_of(result.metrics())


def write_lines(lines: beam.PCollection, folder: Path, name: str) -> None:
    """Writes strings to text files of a folder; `name` begins their names and ends in a suffix."""
    _ = lines | f"Write {name}" >> WriteToText(str(folder / Path(name).stem), Path(name).suffix)


def check_readable(folder: Path) -> None:
    """Fails where a pipeline wrote files `unreadable-*` about sources that it could not read.

    Raises:
      UserError: one line for each such source.
    """
    lines = [line for file in folder.glob("unreadable-*") for line in file.read_text().splitlines()]
    if lines:
        more = [f"and {len(lines) - _SHOWN:,} more files"] if len(lines) > _SHOWN else []
        raise UserError("\n".join([*sorted(lines)[:_SHOWN], *more]))
