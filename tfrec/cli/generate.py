"""`tfrec datasets generate`: writes a synthetic shop."""

import contextlib
from pathlib import Path

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tfrec.cli import overrides

_EPILOGUE = """\b
Any other parameter of the shop can be given by its dotted name; docs/synthetic.md lists them:
  tfrec datasets generate shop --sessions.looks 10 --season.holidays '["11-24"]'
"""


@click.command(epilog=_EPILOGUE, context_settings=overrides.OPEN)
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--events", metavar="N", help="Rows of the log.  [default: 1000000]")
@click.option("--users", metavar="N", help="Shoppers.  [default: 10000]")
@click.option("--items", metavar="N", help="Items of the catalogue.  [default: 10000]")
@click.option("--days", metavar="N", help="Days that the log covers.  [default: 365]")
@click.option("--seed", metavar="N", help="Of all that is random.  [default: 0]")
@click.argument("values", nargs=-1, type=click.UNPROCESSED, metavar="[--NAME VALUE]...")
def generate(folder: Path, values: tuple[str, ...], **main: str | None) -> None:
    """Write a synthetic shop to FOLDER, which must be new or empty.

    \b
    Examples:
      tfrec datasets generate shop
      tfrec datasets generate big_shop --events 20000000 --users 200000 --items 50000 --seed 7
      tfrec run shop/experiment.yaml
    """
    from tfrec.config import override, validate
    from tfrec.data import synthetic

    given = {name: value for name, value in main.items() if value is not None}
    content = override({}, {**given, **overrides.parse(values)})
    config = validate(synthetic.SyntheticShop, content)
    bar = Progress(
        TextColumn("events"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        transient=True,
    )
    with bar if bar.console.is_terminal else contextlib.nullcontext():
        task = bar.add_task("", total=config.events)
        experiment = synthetic.generate(
            config, folder, lambda done, _: bar.update(task, completed=done)
        )
    click.echo(f"{config.events:,} events of {config.users:,} users on {config.items:,} items")
    click.echo(f"next: tfrec run {experiment}")
