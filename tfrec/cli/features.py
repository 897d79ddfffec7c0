"""`tfrec features`: a spec proposed from data, one checked against them, values for a service."""

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

from tfrec.cli.reporter import ConsoleReporter
from tfrec.errors import UserError

if TYPE_CHECKING:
    from tfrec.data.check import Checked
    from tfrec.data.columns import Place
    from tfrec.features import Role
    from tfrec.features.check import Finding

_ROLES: tuple["Role", ...] = ("user", "item", "context", "label", "weight", "time")


@click.group()
def features() -> None:
    """Propose a config's features from data, check them against data, or push their values."""


@features.command()
@click.option("--events", required=True, help="The event log: dataset://NAME/TABLE, path or glob.")
@click.option("--items", required=True, help="The catalogue, likewise.")
@click.option("--user", required=True, help="Column of the shopper's id in the events.")
@click.option("--item", required=True, help="Column of the item's id in the events.")
@click.option("--time", required=True, help="Column of the moment in the events.")
@click.option("--id", "item_id", help="Column of the item's id in the items.  [default: --item]")
@click.option(
    "--role-of",
    "roles",
    multiple=True,
    metavar="COLUMN=ROLE",
    help=f"Role of a column ({', '.join(_ROLES)}) instead of a guess; repeatable.",
)
@click.option(
    "--rows",
    type=click.IntRange(min=1),
    default=200_000,
    show_default=True,
    help="Rows to look at, from the beginnings of the files.",
)
def infer(
    events: str,
    items: str,
    user: str,
    item: str,
    time: str,
    item_id: str | None,
    roles: tuple[str, ...],
    rows: int,
) -> None:
    """Print a `features` section for a shop's data, with the reason beside each line.

    \b
    Example:
      tfrec features infer --events dataset://complete_journey/transactions \\
        --items dataset://complete_journey/products \\
        --user household_id --item product_id --time transaction_timestamp
    """
    from tfrec.data.config import Items, Log
    from tfrec.data.infer import infer_features

    log = Log(source=events, user=user, item=item, time=time)
    catalogue = Items(source=items, id=item_id or item)
    click.echo(infer_features(log, catalogue, _parse_roles(roles), rows), nl=False)


@features.command()
@click.argument("config", type=click.Path(path_type=Path))
@click.option(
    "--rows",
    type=click.IntRange(min=1),
    default=200_000,
    show_default=True,
    help="Rows to look at, from the beginnings of the files of each source.",
)
@click.option("--all", "every", is_flag=True, help="Look at all rows, in memory.")
def check(config: Path, rows: int, every: bool) -> None:
    """Compare a config's features with its data; exit with status 2 if there are errors.

    \b
    Example:
      tfrec features check configs/complete_journey.yaml
    """
    from tfrec.config import read_yaml, validate
    from tfrec.data.check import check_features
    from tfrec.data.config import DataConfig
    from tfrec.features import FeatureSpec

    content = read_yaml(config)
    spec = validate(FeatureSpec, content.get("features", {}), "features")
    data = validate(DataConfig, content.get("data", {}), "data")
    checked = check_features(spec, data, None if every else rows)
    _show(checked)
    problems = [
        f"features.{name}: {error}"
        for name, feature in checked.items()
        if feature.finding
        for error in feature.finding.errors
    ]
    if problems:
        raise UserError("\n".join(problems))


@features.command()
@click.argument("config")
@click.option(
    "--store",
    "url",
    metavar="URL",
    help="sqlite:///FILE (sqlite:////FILE from the root), or redis://HOST:PORT/DATABASE; by default"
    " the one of the config's service section.",
)
def push(config: str, url: str | None) -> None:
    """Load a service's feature store with all shoppers of the prepared data.

    Histories, counters and profiles are put in the place of those there, but for shoppers of whom
    the service has heard since. What was broken off goes on where it was. The service may run
    meanwhile.

    \b
    Examples:
      tfrec features push configs/complete_journey.yaml
      tfrec features push configs/complete_journey.yaml --store redis://localhost:6379/0
    """
    from tfrec.service.feature_store import StoreError
    from tfrec.service.open_store import open_store
    from tfrec.stages.experiment import Experiment
    from tfrec.stages.push_features import online_features, push_features

    experiment = Experiment.load(config)
    spec, erased = experiment.config.features, experiment.config.data.clean.erased
    try:
        where = url or experiment.config.service.store_url
        store = open_store(where, online_features(experiment.prepared, spec))
        with ConsoleReporter() as reporter:
            reporter.stage("push")
            done = push_features(experiment.prepared, spec, store, erased, reporter)
        store.close()
    except StoreError as error:
        raise UserError(f"--store: {error}; the same command goes on from here") from None
    newer = f"{done.newer:,} have newer events there"
    if done.partial:
        newer += f", and {done.partial:,} of them nothing from before"
    left = f"{done.erased:,} are erased; {done.old:,} are old anonymous sessions"
    click.echo(f"put: {done.put:,} shoppers; {newer}; {left}")


def _show(checked: "dict[str, Checked]") -> None:
    console = Console()
    table = Table(title="Features and their columns")
    for column in ("feature", "place", "rows", "missing", "values", "once", "rejected"):
        table.add_column(column, overflow="fold")
    for name, (place, finding) in checked.items():
        cells = ["-"] * 5 if finding is None else _cells(place, finding)
        table.add_row(name, place, *cells)
    console.print(table)
    for name, (_, finding) in checked.items():
        for warning in finding.warnings if finding else ():
            console.print(f"warning: features.{name}: {warning}", style="yellow", soft_wrap=True)


def _cells(place: "Place", finding: "Finding") -> list[str]:
    facts = finding.facts
    # A value of the catalogue stands there once however often it is sold.
    once = f"{facts.once:.1%}" if place in ("user", "item", "event") else "-"
    rejected = f"{sum(finding.rejected.values()):,}"
    return [f"{facts.rows:,}", f"{facts.missing:.1%}", f"{facts.distinct:,}", once, rejected]


def _parse_roles(written: tuple[str, ...]) -> dict[str, "Role"]:
    roles: dict[str, Role] = {}
    for pair in written:
        column, _, name = pair.rpartition("=")
        role = next((role for role in _ROLES if role == name), None)
        if not column or role is None:
            raise UserError(
                f"--role-of: {pair!r}: no role; write COLUMN=ROLE, with one of {', '.join(_ROLES)}"
            )
        roles[column] = role
    return roles
