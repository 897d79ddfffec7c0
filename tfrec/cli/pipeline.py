"""`tfrec pipeline`: the stages as a TFX pipeline."""

from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

from tfrec.cli import overrides
from tfrec.cli.pipeline_join import join
from tfrec.cli.pipeline_kubeflow import compile_, submit
from tfrec.cli.pipeline_metadata import lineage, runs, show
from tfrec.cli.reporter import ConsoleReporter
from tfrec.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tfrec.pipelines.local import ComponentRun

_EPILOGUE = """\b
Examples:
  tfrec pipeline run configs/movielens_100k_ids.yaml
  tfrec pipeline run configs/movielens_100k_ids.yaml --training.epochs 20
"""


@click.group()
def pipeline() -> None:
    """Run the stages as a TFX pipeline, here or on Kubeflow."""


for command in (join, compile_, submit, runs, show, lineage):
    pipeline.add_command(command)


@pipeline.command(epilog=_EPILOGUE, context_settings=overrides.OPEN)
@click.argument("config")
@click.argument("values", nargs=-1, type=click.UNPROCESSED, metavar="[--NAME VALUE]...")
def run(config: str, values: tuple[str, ...]) -> None:
    """Run all components on this machine.

    What an earlier run made of the same inputs and config is taken from it, also where that run
    failed later on.
    """
    from tfrec.stages.experiment import Experiment

    experiment = Experiment.load(config, overrides=overrides.parse(values))
    from tfrec.pipelines.local import run as run_here

    try:
        with ConsoleReporter() as reporter:
            made = run_here(experiment.config, reporter)
    except KeyboardInterrupt:
        raise UserError(
            "pipeline: interrupted; the same command goes on behind what is done"
        ) from None
    _show(made)


def _show(made: "Sequence[ComponentRun]") -> None:
    table = Table("component", "seconds", "", title="Components")
    for component in made:
        table.add_row(
            component.name, f"{component.seconds:.1f}", "from cache" if component.cached else ""
        )
    table.add_section()
    table.add_row("all", f"{sum(component.seconds for component in made):.1f}", "")
    Console().print(table)
