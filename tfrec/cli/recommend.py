"""`tfrec recommend`: a table of recommendations for many shoppers."""

import time
from datetime import datetime
from pathlib import Path

import click

from tfrec.cli import overrides
from tfrec.cli.reporter import ConsoleReporter


@click.command(context_settings=overrides.OPEN)
@click.argument("config")
@click.option(
    "--users",
    multiple=True,
    metavar="FILE",
    help="Shoppers, and maybe their features; repeatable.  [default: all with a profile]",
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Directory to write.")
@click.option("-k", type=click.IntRange(min=1), default=10, show_default=True, help="Items each.")
@click.option("--exclude-seen", is_flag=True, help="Leave out what a shopper chose before.")
@click.option(
    "--moment",
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M"]),
    help="When shoppers will read it, in UTC.  [default: now]",
)
@click.argument("values", nargs=-1, type=click.UNPROCESSED, metavar="[--NAME VALUE]...")
def recommend(
    config: str,
    users: tuple[str, ...],
    out: Path,
    k: int,
    exclude_seen: bool,
    moment: datetime | None,
    values: tuple[str, ...],
) -> None:
    """Write recommendations for many shoppers to Parquet: user, rank, id, score.

    They come from the config's bundle, through Beam, and are those that `tfrec query` gives. FILE
    is CSV, TSV, JSON lines or Parquet, with the log's column of shoppers; its columns that are
    features of the model stand before what is known of a shopper.

    \b
    Examples:
      tfrec recommend configs/complete_journey.yaml --out recommendations/
      tfrec recommend configs/complete_journey.yaml --users households.csv --out mails/ -k 20
      tfrec recommend configs/complete_journey.yaml --out mails/ --exclude-seen --moment 2018-01-06
      tfrec recommend configs/complete_journey.yaml --out mails/ --runner FlinkRunner
    """
    from tfrec.stages.experiment import Experiment, ExperimentConfig
    from tfrec.stages.recommend import recommend as make

    changes = overrides.for_beam(overrides.parse(values), ExperimentConfig.model_fields)
    experiment = Experiment.load(config, overrides=changes)
    started = time.monotonic()
    with ConsoleReporter() as reporter:
        reporter.stage("recommend")
        table = make(
            experiment.bundle,
            out,
            users or None,
            k,
            exclude_seen,
            moment,
            experiment.config.data.beam,
            reporter,
        )
    seconds = time.monotonic() - started
    for reason, rows in table.rejected.items():
        click.echo(f"rejected: {reason}: {rows:,}")
    for reason, rows in table.dropped.items():
        click.echo(f"dropped: {reason}: {rows:,}")
    if table.unused:
        click.echo(f"columns that are no feature of the model: {', '.join(table.unused)}")
    if table.unknown:
        click.echo(f"shoppers without a profile: {table.unknown:,}")
    click.echo(
        f"{table.path}: {table.rows:,} rows for {table.shoppers:,} shoppers, "
        f"{table.shoppers / seconds:,.0f} a second"
    )
