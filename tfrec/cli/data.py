"""`tfrec data`: what is in prepared data."""

from pathlib import Path

import click

from tfrec.cli.reporter import ConsoleReporter


@click.group()
def data() -> None:
    """Look at prepared data."""


@data.command()
@click.argument("prepared", metavar="CONFIG_OR_PREPARED_DIR", type=click.Path(path_type=Path))
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default="report.html",
    show_default=True,
    help="File to write.",
)
def report(prepared: Path, output: Path) -> None:
    """Write a page of statistics: rows, time, popularity, shoppers, features, split and drift.

    \b
    Example:
      tfrec data report configs/complete_journey.yaml --output report.html
    """
    from tfrec.stages.artifact import Artifact
    from tfrec.stages.experiment import Experiment
    from tfrec.stages.report import report as write

    artifact = Artifact(prepared) if prepared.is_dir() else Experiment.load(prepared).prepared
    with ConsoleReporter() as reporter:
        reporter.stage("report")
        write(artifact, output, reporter)
    click.echo(f"report: {output}")
