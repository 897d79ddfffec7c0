"""`tfrec items`: changes the items of a served model."""

import time

import click

from tfrec.cli import overrides
from tfrec.cli.reporter import ConsoleReporter
from tfrec.errors import UserError

_SHOWN = 10
_server = click.option(
    "--server",
    default="grpc://127.0.0.1:8500",
    show_default=True,
    help="grpc://HOST:PORT or http://HOST:PORT.",
)
_values = click.argument("values", nargs=-1, type=click.UNPROCESSED, metavar="[--NAME VALUE]...")


@click.group()
def items() -> None:
    """Change the items of a served model, and build its index anew.

    Changes are seen by the next query. `tfrec serve` keeps them for later versions; a TensorFlow
    Serving keeps them until it loads another version or ends.

    \b
    Examples:
      tfrec items put configs/complete_journey.yaml new_products.csv
      tfrec items remove configs/complete_journey.yaml 1029743 995242
      tfrec items refresh configs/complete_journey.yaml --every 60
    """


@items.command()
@click.argument("config")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@_server
def put(config: str, files: tuple[str, ...], server: str) -> None:
    """Add items, or put them in the place of those of the same ids.

    FILE is CSV, TSV, JSON lines or Parquet with the columns of the catalogue; a row is all that is
    known of its item.

    \b
    Examples:
      tfrec items put configs/complete_journey.yaml new_products.csv
      tfrec items put configs/shop.yaml prices.jsonl --server http://shop:8501
    """
    from tfrec.serving.client import Client
    from tfrec.stages.experiment import Experiment
    from tfrec.stages.put_items import put_items

    of = Experiment.load(config).config
    with Client(server) as client:
        done = put_items(client, of.serving.name, of.data.items, of.features, files)
    for line in done.rejected[:_SHOWN]:
        click.echo(f"rejected: {line}", err=True)
    room = "" if done.room is None else f"; room for {done.room:,} more changes"
    click.echo(f"put: {done.items:,} items{room}")
    if done.rejected:
        raise UserError(f"FILE: {len(done.rejected):,} rows are rejected and were not put")


@items.command()
@click.argument("config")
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@_server
def remove(config: str, ids: tuple[str, ...], server: str) -> None:
    """Take items out.

    \b
    Example:
      tfrec items remove configs/complete_journey.yaml 1029743 995242
    """
    from tfrec.serving.client import Client
    from tfrec.serving.names import ITEMS, REMOVE_ITEMS, REMOVED
    from tfrec.stages.experiment import Experiment

    model = Experiment.load(config).config.serving.name
    with Client(server) as client:
        answer = client.predict(model, {ITEMS: list(ids)}, signature=REMOVE_ITEMS)
    absent = [item for item, was in zip(ids, answer[REMOVED], strict=True) if not was]
    click.echo(f"removed: {len(ids) - len(absent):,} items")
    if absent:
        raise UserError(f"ID: there is no {', '.join(absent)}")


@items.command(context_settings=overrides.OPEN)
@click.argument("config")
@_server
@click.option(
    "--every", type=click.IntRange(min=1), metavar="SECONDS", help="Look again and again."
)
@click.option("--now", is_flag=True, help="Build a version whatever is measured.")
@_values
def refresh(
    config: str, server: str, every: int | None, now: bool, values: tuple[str, ...]
) -> None:
    """Build the index anew once recall has decayed at the server, or its room is nearly full.

    Recall is measured by held-out queries, among the items that there are now. The new version has
    all changes in it, and takes the place of the old one without a failed query.

    \b
    Examples:
      tfrec items refresh configs/complete_journey.yaml
      tfrec items refresh configs/complete_journey.yaml --every 60
      tfrec items refresh configs/complete_journey.yaml --now
    """
    from tfrec.serving.client import Client
    from tfrec.stages.experiment import Experiment

    experiment = Experiment.load(config, overrides=overrides.parse(values))
    _check_live(experiment.config.serving.live_items)
    with Client(server) as client, ConsoleReporter() as reporter:
        while True:
            found = experiment.freshness(client)
            click.echo(
                f"recall {found.recall:.4f}, {found.built:.4f} when built, {found.promised} "
                f"promised; {found.changed:,} of {found.slots:,} changes"
            )
            if now or found.stale:
                reporter.stage("refresh")
                click.echo(f"serving: {experiment.refresh(reporter)}")
            if not every:
                return
            now = False
            time.sleep(every)


def _check_live(slots: int) -> None:
    if not slots:
        raise UserError(
            "serving.live_items: 0, so no items change; set it, e.g. to 4096, and export again"
        )
