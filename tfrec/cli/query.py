"""`tfrec query`: asks a server for recommendations."""

import json
import time
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

from tfrec.cli import overrides
from tfrec.errors import UserError

if TYPE_CHECKING:  # which brings TensorFlow along
    from tfrec.stages.recommender import Explanation

_PARTS = 3


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
@click.option("--only", multiple=True, metavar="CATEGORY=VALUE,...", help="Items of these values.")
@click.option("--least", multiple=True, metavar="NUMBER=VALUE", help="Items of at least that.")
@click.option("--most", multiple=True, metavar="NUMBER=VALUE", help="Items of at most that.")
@click.option("--new-items", type=click.IntRange(min=0), default=0, help="At least so many new.")
@click.option("--explain", is_flag=True, help="Say why, of each item.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.argument("features", nargs=-1, type=click.UNPROCESSED, metavar="[--FEATURE VALUE]...")
def query(
    name: str,
    k: int,
    server: str,
    prepared: Path | None,
    exclude: tuple[str, ...],
    only: tuple[str, ...],
    least: tuple[str, ...],
    most: tuple[str, ...],
    new_items: int,
    explain: bool,
    as_json: bool,
    features: tuple[str, ...],
) -> None:
    """Ask a server what to recommend to a shopper, or what goes with an item.

    Raw features are options by their own names; the values of a sequence, of several categories or
    of a vector are joined by commas. What is left out comes from the shopper's profile in the
    prepared data and from the calendar, or from the catalogue where the model takes an item.

    \b
    Examples:
      tfrec query complete_journey --household_id 2375 -k 10
      tfrec query complete_journey --household_id 2375 --server http://127.0.0.1:8501
      tfrec query complete_journey --recent_products 1029743,995242 --weekday Saturday
      tfrec query films --viewer 17 --genres Drama,Comedy --age 35.5
      tfrec query goes_together --product_id 1029743
      tfrec query shop --customer 17 --only department=food,drink --most price=9.50 --new-items 2
      tfrec query complete_journey --household_id 2375 --explain
    """
    values = overrides.parse(features)
    from tfrec.serving.client import Client
    from tfrec.stages.artifact import Artifact
    from tfrec.stages.recommender import Recommender, Wanted

    wanted = Wanted(
        {name: value.split(",") for name, value in _pairs("--only", only)},
        {name: _number("--least", name, value) for name, value in _pairs("--least", least)},
        {name: _number("--most", name, value) for name, value in _pairs("--most", most)},
        new_items,
    )
    data = Artifact(prepared or Path("runs", name, "prepare"))
    with Client(server) as client:
        recommender = Recommender.connect(client, name, data)
        given = recommender.parse(values)
        question = recommender.question(
            given, k, exclude, None, wanted if wanted != Wanted() else None
        )
        started = time.perf_counter()
        items = recommender.answer(question)
        milliseconds = (time.perf_counter() - started) * 1000
        ids = [item.id for item in items]
        why = recommender.explain(ids, None, **given) if explain else []
        names = recommender.names([item for one in why for item in one.history])
    if len(items) < k:
        click.echo(f"{len(items)} of {k}: no other item passes", err=True)
    if as_json:
        told = [item._asdict() for item in items]
        for item, one in zip(told, why, strict=False):
            item["explanation"] = one._asdict()
        click.echo(json.dumps(told))
        return
    table = Table("#", "id", "name", "score", title=f"{server}, {milliseconds:.1f} ms")
    if explain:
        table.add_column("why")
        table.add_column("what adds to the score")
    for place, (listed, one) in enumerate(zip_longest(items, why), 1):
        because = [one.in_words(names), _parts(one)] if one else []
        table.add_row(str(place), listed.id, listed.name, f"{listed.score:.4f}", *because)
    Console().print(table)


def _parts(explanation: "Explanation") -> str:
    """What adds or takes most, of those that do something."""
    parts = sorted(explanation.features.items(), key=lambda part: -abs(part[1]))
    return ", ".join(f"{name} {value:+.2f}" for name, value in parts[:_PARTS] if value)


def _pairs(option: str, given: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Cuts `name=value`."""
    for text in given:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise UserError(f"{option}: {text!r} has no value; give it as {option} NAME=VALUE")
        yield name, value


def _number(option: str, name: str, value: str) -> float:
    try:
        return float(value)
    except ValueError as error:
        raise UserError(f"{option}: {name}={value} is no number; give one, e.g. 9.50") from error
