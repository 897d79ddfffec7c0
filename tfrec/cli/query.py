"""`tfrec query`: asks a server for recommendations."""

import json
import time
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from tfrec.cli import overrides


@click.command(context_settings=overrides.OPEN)
@click.argument("name")
@click.option("-k", type=click.IntRange(min=1), default=10, show_default=True, help="Items.")
@click.option(
    "--server",
    default="grpc://127.0.0.1:8500",
    show_default=True,
    help="grpc://HOST:PORT or http://HOST:PORT.",
)
@click.option(
    "--prepared",
    type=click.Path(path_type=Path),
    help="Prepared data, for profiles and names.  [default: runs/NAME/prepare]",
)
@click.option("--exclude", multiple=True, help="Id of an item not to recommend; repeatable.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.argument("features", nargs=-1, type=click.UNPROCESSED, metavar="[--FEATURE VALUE]...")
def query(
    name: str,
    k: int,
    server: str,
    prepared: Path | None,
    exclude: tuple[str, ...],
    as_json: bool,
    features: tuple[str, ...],
) -> None:
    """Ask a server what to recommend to a shopper.

    Raw features are options by their own names; the values of a sequence, of several categories or
    of a vector are joined by commas. What is left out comes from the shopper's profile in the
    prepared data and from the calendar.

    \b
    Examples:
      tfrec query complete_journey --household_id 2375 -k 10
      tfrec query complete_journey --household_id 2375 --server http://127.0.0.1:8501
      tfrec query complete_journey --recent_products 1029743,995242 --weekday Saturday
      tfrec query films --viewer 17 --genres Drama,Comedy --age 35.5
    """
    values = overrides.parse(features)
    from tfrec.serving.client import Client
    from tfrec.stages.artifact import Artifact
    from tfrec.stages.recommender import Recommender

    data = Artifact(prepared or Path("runs", name, "prepare"))
    with Client(server) as client:
        recommender = Recommender.connect(client, name, data)
        question = recommender.question(recommender.parse(values), k, exclude)
        started = time.perf_counter()
        items = recommender.answer(question)
        milliseconds = (time.perf_counter() - started) * 1000
    if as_json:
        click.echo(json.dumps([item._asdict() for item in items]))
        return
    table = Table("#", "id", "name", "score", title=f"{server}, {milliseconds:.1f} ms")
    for place, item in enumerate(items, 1):
        table.add_row(str(place), item.id, item.name, f"{item.score:.4f}")
    Console().print(table)
