"""`tfrec plan`: what training a config would take."""

from collections.abc import Iterator
from itertools import groupby
from typing import TYPE_CHECKING

import click
import psutil
import yaml
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from tfrec.cli import overrides
from tfrec.errors import UserError

if TYPE_CHECKING:
    from tfrec.embeddings.planner import Plan
    from tfrec.stages.experiment import Experiment

_EPILOGUE = """\b
Any value of the config can be given by its dotted name:
  tfrec plan configs/complete_journey.yaml --training.parameter_servers 4
  tfrec plan configs/complete_journey.yaml --tfjob | kubectl apply --dry-run=server -f -
"""


@click.command(epilog=_EPILOGUE, context_settings=overrides.OPEN)
@click.argument("config")
@click.option("--tfjob", is_flag=True, help="Print the TFJob instead that would train it.")
@click.argument("values", nargs=-1, type=click.UNPROCESSED, metavar="[--NAME VALUE]...")
def plan(config: str, tfjob: bool, values: tuple[str, ...]) -> None:
    """Show where embedding tables would lie, what memory they take and what a step sends.

    Nothing is started. Exits with status 2 if it does not fit.
    """
    from tfrec.stages.experiment import Experiment
    from tfrec.stages.plan import plan as make

    experiment = Experiment.load(config, overrides=overrides.parse(values))
    if tfjob:
        click.echo(_manifest(experiment), nl=False)
        return
    whole = experiment.config
    made = make(whole.training, whole.features, experiment.prepared, whole.model)
    _show(made)
    if made.problem:
        raise UserError(made.problem)


def _manifest(experiment: "Experiment") -> str:
    """What `tfrec train` makes on Kubernetes, as YAML."""
    from tfrec.deploy.tfjob import render_tfjob
    from tfrec.stages.train import job_file

    c = experiment.config
    if c.pipeline.tfjob is None:
        raise UserError(
            "pipeline.tfjob: missing; add it, e.g. "
            "{image: registry/trainer:1, volume: {claim: shop-data, path: /data}}"
        )
    trained = experiment.trained.path
    job = job_file(c.training, c.model, c.features, experiment.prepared, trained)
    manifest = render_tfjob(c.pipeline.tfjob, c.training, c.name, job)
    return yaml.safe_dump(manifest, sort_keys=False)


def _show(plan: "Plan") -> None:
    console = Console()
    for table in (_memory(plan), _step(plan), _processes(plan)):
        console.print(table)
    for line in _remarks(plan):
        console.print(line, soft_wrap=True, highlight=False)


def _memory(plan: "Plan") -> Table:
    from tfrec.embeddings.planner import readable

    given_out = ["lookup"] if any(group.vocabulary_bytes for group in plan.groups) else []
    table = _table("Embedding tables", "rows", "table", "optimiser", *given_out, "shards")
    for group in plan.groups:
        on = [f"{plan.task}-{shard.process}" for shard in group.shards]
        table.add_row(
            "\n".join([group.name, *(f"  {name}" for name in group.tables)]),
            f"{group.rows:,}",
            readable(group.table_bytes),
            readable(group.slot_bytes),
            *([readable(group.vocabulary_bytes)] if given_out else []),
            on[0] if len(on) == 1 else f"{on[0]} .. {on[-1]}",
        )
    return table


def _step(plan: "Plan") -> Table:
    """What a step moves; the busiest process beside the mean of all."""
    from tfrec.embeddings.planner import readable

    table = _table("A worker's step, expected", "distinct rows", "on the wire", "busiest / mean")
    for group in plan.groups:
        cells = f"{group.rows_per_step:,.0f}", readable(sum(group.wire_bytes)), f"{group.skew:.2f}"
        table.add_row(group.name, *cells)
    rows = sum(group.rows_per_step for group in plan.groups)
    table.add_section()
    table.add_row("all", f"{rows:,.0f}", readable(sum(plan.wire_bytes)), f"{plan.skew:.2f}")
    return table


def _processes(plan: "Plan") -> Table:
    """The processes that hold tables; a row for each run of them that are alike."""
    from tfrec.embeddings.planner import readable

    table = _table("Memory", "holds", "at a checkpoint", "may take", first="process")
    cells = [
        tuple(map(readable, (held, peak, plan.limit_bytes)))
        for held, peak in zip(plan.held_bytes, plan.peak_bytes, strict=True)
    ]
    for alike, numbers in groupby(range(len(cells)), cells.__getitem__):
        first, *others = numbers
        last = f" .. {plan.task}-{others[-1]}" if others else ""
        table.add_row(f"{plan.task}-{first}{last}", *alike)
    return table


def _table(title: str, *columns: str, first: str = "group") -> Table:
    table = Table(title=title, box=SIMPLE_HEAD)
    table.add_column(first, overflow="fold")
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _remarks(plan: "Plan") -> Iterator[str]:
    from tfrec.embeddings.planner import readable

    assumed = [name for group in plan.groups for name in group.assumed]
    if assumed:
        yield f"assumed, not counted: Zipf's law for the rows of {', '.join(assumed)}"
    memory = psutil.virtual_memory().total
    if plan.whole_bytes > memory:
        yield (
            "warning: saving the model, and an evaluator, takes one process that holds all "
            f"tables: {readable(plan.whole_bytes)}, more than this machine's {readable(memory)}"
        )
