"""What stages do, shown in a terminal."""

import time
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from tfrec.stages.reporter import Reporter

if TYPE_CHECKING:
    from tfrec.stages.experiment import Experiment

_GIGABYTE = 1e9


class ConsoleReporter(Reporter):
    """A line with a bar, the time gone and, where it can be told, the time left.

    Where the output is no terminal, a plain line for each step.
    """

    def __init__(self) -> None:
        """Shows from when it is entered as a context."""
        self._console = Console()
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
        )
        self._task = self._progress.add_task("")
        self._stage, self._started, self._worked = "", 0.0, False

    def __enter__(self) -> "ConsoleReporter":
        """Begins to show."""
        if self._console.is_terminal:
            self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Takes the bar away."""
        if self._console.is_terminal:
            self._progress.stop()
        if error is None:
            self._conclude()

    def stage(self, name: str) -> None:
        """Names the stage that begins, after a line on the one that ends."""
        self._conclude()
        self._stage, self._started, self._worked = name, time.monotonic(), False
        self._progress.reset(self._task, description=name, total=None)

    def step(self, what: str) -> None:
        """Shows a part of unknown length."""
        self._worked = True
        self._progress.reset(self._task, description=f"{self._stage}: {what}", total=None)
        if not self._console.is_terminal:
            self._say(f"{self._stage}: {what}")

    def progress(self, what: str, done: int, total: int) -> None:
        """Shows how far a part is."""
        self._worked = True
        description = f"{self._stage}: {what}"
        self._progress.update(self._task, description=description, completed=done, total=total)
        if not self._console.is_terminal and done == total:
            self._say(f"{description}, {done:,} of {total:,}")

    def _conclude(self) -> None:
        if self._stage:
            seconds = time.monotonic() - self._started
            result = f"done in {seconds:.0f} s" if self._worked else "unchanged"
            self._say(f"{self._stage}: {result}")

    def _say(self, line: str) -> None:
        self._console.print(line, highlight=False, soft_wrap=True)


def show_stages(experiment: "Experiment") -> None:
    """Prints what making each artefact took."""
    table = Table("stage", "seconds", "peak memory", "result", title="Stages")
    for artifact in experiment.artifacts:
        manifest = artifact.manifest
        memory = f"{manifest.peak_memory_bytes / _GIGABYTE:.1f} GB"
        table.add_row(manifest.stage, f"{manifest.seconds:.1f}", memory, str(artifact.path))
    Console().print(table)


def show_metrics(experiment: "Experiment") -> None:
    """Prints the evaluation: one table per slice, one row per ranker."""
    metrics = experiment.evaluation.manifest.summary["metrics"]
    slices = next(iter(metrics.values()))
    for name, first in slices.items():
        columns = [metric for metric in first if metric != "users"]
        title = f"Test window, slice {name}: {first['users']:,} shoppers, full catalogue"
        table = Table("ranker", *columns, title=title)
        for ranker, by_slice in metrics.items():
            table.add_row(ranker, *(_figure(by_slice[name][metric]) for metric in columns))
        Console().print(table)


def _figure(value: float | None) -> str:
    """A metric without a shopper to measure it on is none."""
    return "-" if value is None else f"{value:.4f}"
