"""What stages do, shown in a terminal."""

import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.live import Live
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
    from tfrec.training.processes import TaskStatus

_GIGABYTE = 1e9


class ConsoleReporter(Reporter):
    """A line with a bar, the time gone and, where it can be told, the time left.

    While a cluster trains, a table of its processes stands below the line. Where the output is no
    terminal, there is a plain line for each step and for each process that changes.
    """

    def __init__(self) -> None:
        """Shows from when it is entered as a context."""
        self._tasks: dict[str, TaskStatus] = {}
        self._console = Console()
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self._console,
        )
        self._live = Live(console=self._console, get_renderable=self._screen, transient=True)
        self._task = self._progress.add_task("")
        self._stage, self._started, self._worked = "", 0.0, False

    def __enter__(self) -> "ConsoleReporter":
        """Begins to show."""
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Takes the bar away."""
        if self._console.is_terminal:
            self._live.stop()
        if error is None:
            self._conclude()

    def stage(self, name: str) -> None:
        """Names the stage that begins, after a line on the one that ends."""
        self._conclude()
        self._stage, self._started, self._worked = name, time.monotonic(), False
        self._tasks = {}
        self._progress.reset(self._task, description=name, total=None)

    def step(self, what: str) -> None:
        """Shows a part of unknown length."""
        self._worked, self._tasks = True, {}
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

    def warn(self, what: str) -> None:
        """Shows a line that stays."""
        self._say(f"{self._stage}: {what}")

    def tasks(self, tasks: "Sequence[TaskStatus]") -> None:
        """Shows what the processes of a cluster do."""
        for task in tasks:
            before = self._tasks.get(task.name)
            if before is None or (before.state, before.restarts) != (task.state, task.restarts):
                self._say_change(task)
            self._tasks[task.name] = task

    def _say_change(self, task: "TaskStatus") -> None:
        """On a terminal the table shows what runs; what broke is to be read later, too."""
        if not self._console.is_terminal or task.pid is None:
            self._say(f"{self._stage}: {task.name}: {task.state}; log {task.log}")

    def _screen(self) -> RenderableType:
        if not self._tasks:
            return self._progress
        logs = {str(task.log.parent) for task in self._tasks.values()}
        table = Table("task", "state", "pid", "restarts", "memory", caption=f"logs: {logs.pop()}")
        for task in self._tasks.values():
            memory = f"{task.memory_bytes / _GIGABYTE:.2f} GB"
            pid = "-" if task.pid is None else str(task.pid)
            table.add_row(task.name, task.state, pid, str(task.restarts), memory)
        return Group(self._progress, table)

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
    """Prints the evaluation: one table per slice, two rows per ranker: means, half intervals."""
    summary = experiment.evaluation.manifest.summary
    metrics, protocol = summary["metrics"], summary.get("protocol", {})
    ranked = protocol.get("candidates", "full catalogue")
    for name, first in next(iter(metrics.values())).items():
        title = f"Test window, slice {name}: {first['users']:,} shoppers"
        if "/" in name and first["users"] < protocol["min_users"]:
            Console().print(f"{title}: too small, fewer than {protocol['min_users']:,}")
            continue
        columns = [metric for metric in first if metric != "users"]
        table = Table("ranker", *columns, title=f"{title}, {ranked}")
        for ranker, by_slice in metrics.items():
            table.add_row(ranker, *(_figure(by_slice[name][metric]) for metric in columns))
            intervals = summary.get("intervals", {}).get(ranker, {}).get(name)
            if intervals:
                halves = (_half(intervals.get(metric)) for metric in columns)
                table.add_row("  ± 95 %", *halves, style="dim")
        Console().print(table)
    _show_predictions(summary.get("predictions", {}))
    for rule in summary.get("blessing", {}).get("rules", ()):
        Console().print(f"blessing: {rule}", highlight=False, soft_wrap=True)
    made = experiment.evaluation
    files = f"report: {made.report}\nvalues: {made.values}"
    Console().print(files, highlight=False, soft_wrap=True)


def show_change(experiment: "Experiment") -> None:
    """Prints what fewer bytes change, where a bundle keeps its weights so: a row per metric."""
    summary = experiment.bundle.manifest.summary
    sizes, precision = summary.get("model_bytes"), experiment.config.serving.precision
    if not sizes:
        return
    for name, metrics in summary["metric_change"].items():
        title = f"Test window, slice {name}: weights of {precision} instead of float32"
        table = Table("metric", "float32", precision, "difference", "95 % interval", title=title)
        for metric, found in metrics.items():
            ends = f"{found['low']:+.5f} to {found['high']:+.5f}"
            figures = _figure(found["trained"]), _figure(found["quantised"])
            table.add_row(metric, *figures, f"{found['difference']:+.5f}", ends)
        Console().print(table)
    before, after = (sizes[which] / 1e6 for which in ("trained", "quantised"))
    Console().print(f"model: {before:.1f} MB in float32, {after:.1f} MB in {precision}")


def _show_predictions(predictions: Mapping[str, Mapping[str, float]]) -> None:
    for task, values in predictions.items():
        examples = int(values["examples"])
        columns = [metric for metric in values if metric != "examples"]
        table = Table("task", *columns, title=f"Predictions of {examples:,} labelled examples")
        table.add_row(task, *(_figure(values[metric]) for metric in columns))
        Console().print(table)


def _figure(value: float | None) -> str:
    """A metric without a shopper to measure it on is none."""
    return "-" if value is None else f"{value:.4f}"


def _half(interval: list[float | None] | None) -> str:
    """Half the width of an interval; coverage and such have none."""
    low, high = interval or (None, None)
    return "" if low is None or high is None else f"{(high - low) / 2:.4f}"
