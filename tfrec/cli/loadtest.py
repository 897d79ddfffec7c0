"""`tfrec loadtest`: measures how fast a server answers."""

import json
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from tfrec.cli.reporter import ConsoleReporter
from tfrec.stages.reporter import Reporter

if TYPE_CHECKING:
    from tfrec.serving.load_test import LoadResult, Plan
    from tfrec.stages.load_test import Asked

_CLOSED, _OPEN = 8, 64
_FIGURES = {"p50": "p50", "p90": "p90", "p99": "p99", "p99_9": "p99.9", "max": "max"}


@click.command()
@click.argument("name")
@click.option(
    "--server",
    default="grpc://127.0.0.1:8500",
    show_default=True,
    help="grpc://HOST:PORT or http://HOST:PORT.",
)
@click.option("--signature", default="recommend", show_default=True, help="What to ask.")
@click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    metavar="N",
    help="Requests a second.  [default: as many as are answered]",
)
@click.option(
    "--connections",
    type=click.IntRange(min=1),
    metavar="N",
    help=f"Most requests at once.  [default: {_CLOSED}, or {_OPEN} with --rate]",
)
@click.option("--seconds", type=click.IntRange(min=1), default=10, show_default=True)
@click.option("-k", type=click.IntRange(min=1), default=10, show_default=True, help="Items.")
@click.option(
    "--prepared",
    type=click.Path(path_type=Path),
    help="Prepared data, for recorded shoppers.  [default: runs/NAME/prepare]",
)
@click.option("--plot", type=click.Path(path_type=Path), metavar="FILE.svg|html")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def loadtest(
    name: str,
    server: str,
    signature: str,
    rate: float | None,
    connections: int | None,
    seconds: int,
    k: int,
    prepared: Path | None,
    plot: Path | None,
    as_json: bool,
) -> None:
    """Ask a server for recorded shoppers again and again, and tell how long answers take.

    With --rate, requests are due at planned times and latency counts from these: what waits behind
    slow answers counts as slow. Without it, each connection asks as soon as it has an answer.

    \b
    Examples:
      tfrec loadtest complete_journey --rate 100 --seconds 30 --plot load.html
      tfrec loadtest complete_journey --connections 8 --server http://127.0.0.1:8501
      tfrec loadtest shop --rate 50 --signature embed_query --json
    """
    from tfrec.serving.load_plot import check_plot_file, write_load_plot
    from tfrec.serving.load_test import Plan
    from tfrec.stages.artifact import Artifact
    from tfrec.stages.load_test import Asked, load_test

    if plot:
        check_plot_file(plot)
    asked, plan = Asked(server, name, signature, k), Plan(seconds, rate)
    connections = connections or (_OPEN if rate else _CLOSED)
    data = Artifact(prepared or Path("runs", name, "prepare"))
    with nullcontext(Reporter()) if as_json else ConsoleReporter() as reporter:
        reporter.stage("loadtest")
        reporter.step("encoding requests")
        result = load_test(
            asked,
            data,
            plan,
            connections,
            lambda gone: reporter.progress("seconds", int(gone), seconds),
        )
    title = f"{name}.{signature}, {server}, {_load(plan, connections)}"
    if plot:
        write_load_plot(result, title, plot)
    if as_json:
        click.echo(json.dumps(_summary(result, asked, plan, connections)))
    else:
        _console().print(_table(result, title))
        _tell_lateness(result, plan)


def _load(plan: "Plan", connections: int) -> str:
    most = f"{connections} connection{'s' * (connections > 1)}"
    return f"{plan.rate:g} requests/s, at most {most}" if plan.rate else most


def _table(result: "LoadResult", title: str) -> Table:
    figures = (f"{name} ms" for name in _FIGURES.values())
    table = Table("status", "requests", "a second", *figures, title=title)
    for code, one in result.by_code().items():
        latencies = (f"{getattr(one, figure):,.1f}" for figure in _FIGURES)
        table.add_row(code, f"{one.requests:,}", f"{one.per_second:,.1f}", *latencies)
    return table


def _console() -> Console:
    """Where the output is no terminal, lines are as long as they need to be."""
    console = Console()
    return console if console.is_terminal else Console(width=200)


def _tell_lateness(result: "LoadResult", plan: "Plan") -> None:
    """What of the latencies came before requests were sent."""
    if plan.rate:
        late = np.percentile(result.lateness_milliseconds, [50, 99])
        click.echo(f"sent after they were due: p50 {late[0]:,.1f} ms, p99 {late[1]:,.1f} ms")


def _summary(
    result: "LoadResult", asked: "Asked", plan: "Plan", connections: int
) -> dict[str, Any]:
    return {
        **asked._asdict(),
        **{"rate": plan.rate, "connections": connections},
        "seconds": round(result.seconds, 3),
        "requests": len(result.codes),
        "late_p99_ms": round(float(np.percentile(result.lateness_milliseconds, 99)), 3),
        "statuses": {
            code: {
                "requests": one.requests,
                "per_second": round(one.per_second, 2),
                **{f"{figure}_ms": round(getattr(one, figure), 3) for figure in _FIGURES},
            }
            for code, one in result.by_code().items()
        },
    }
