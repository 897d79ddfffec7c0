"""`tfrec pipeline runs|show|lineage`: what ML Metadata knows of a pipeline."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table
from rich.tree import Tree

from tfrec.cli import overrides
from tfrec.config import override, read_yaml, validate
from tfrec.errors import UserError

if TYPE_CHECKING:
    from tfrec.pipelines.lineage import Lineage, Made
    from tfrec.pipelines.metadata import ArtifactRecord, PipelineMetadata, RunRecord

_KINDS = (".png", ".svg", ".pdf")
_STYLES = {"failed": "red", "running": "yellow", "cached": "dim"}


def _command(wanted: str) -> Callable[[Callable], click.Command]:
    """A command that takes a config, what is wanted of its pipeline, and values of the config."""
    metavar = f"{wanted}[--NAME VALUE]..."

    def decorate(function: Callable) -> click.Command:
        for part in (
            click.option("--json", "as_json", is_flag=True, help="Print JSON."),
            click.argument("values", nargs=-1, type=click.UNPROCESSED, metavar=metavar),
            click.argument("config", type=click.Path(path_type=Path)),
        ):
            function = part(function)
        return click.command(context_settings=overrides.OPEN)(function)

    return decorate


@_command("")
def runs(config: Path, values: tuple[str, ...], as_json: bool) -> None:
    """List the runs of a pipeline on this machine, newest first.

    \b
    Examples:
      tfrec pipeline runs configs/movielens_100k_ids.yaml
    """
    metadata, _ = _open(config, values)
    found = metadata.runs
    if as_json:
        _print_json([_as_plain(run) for run in found])
        return
    table = Table(Column("run", no_wrap=True), "state", "seconds", "from cache")
    for run in found:
        cached = sum(component.state == "cached" for component in run.components)
        table.add_row(
            run.id,
            run.state,
            f"{run.seconds:.1f}",
            f"{cached} of {len(run.components)}",
            style=_STYLES.get(run.state),
        )
    Console().print(table)


@_command("[RUN] ")
def show(config: Path, values: tuple[str, ...], as_json: bool) -> None:
    """Show the components of a run and what they made.

    RUN is the beginning of a run's id; without it, the newest is shown.

    \b
    Examples:
      tfrec pipeline show configs/movielens_100k_ids.yaml
      tfrec pipeline show configs/movielens_100k_ids.yaml 2026-11-22T19:4
    """
    metadata, wanted = _open(config, values)
    found = metadata.run(wanted)
    if as_json:
        _print_json(_as_plain(found))
        return
    artifacts = [one for component in found.components for one in component.outputs]
    root = os.path.commonpath([one.uri for one in artifacts]) if artifacts else ""
    title = f"{found.id}: {found.state}, {found.seconds:.1f} s"
    table = Table("component", "state", "seconds", "artefacts", title=title)
    for component in found.components:
        table.add_row(
            component.name,
            component.state,
            f"{component.seconds:.1f}",
            "\n".join(escape(_line(artifact, root)) for artifact in component.outputs),
            style=_STYLES.get(component.state),
        )
    Console().print(table)
    Console().print(f"artefacts are below {root}", soft_wrap=True, markup=False, highlight=False)


@_command("[VERSION] ")
@click.option(
    "--picture", type=click.Path(path_type=Path), help="Draw it into a file: .png, .svg or .pdf."
)
def lineage(config: Path, values: tuple[str, ...], as_json: bool, picture: Path | None) -> None:
    """Follow a pushed version back to the rows it was made of.

    VERSION is a number below the model root; without it, the one pushed last is followed. What
    another part was made of too is shown below that part alone.

    \b
    Examples:
      tfrec pipeline lineage configs/movielens_100k_ids.yaml
      tfrec pipeline lineage configs/movielens_100k_ids.yaml 1795376952 --picture lineage.svg
    """
    from tfrec.pipelines.lineage import find_lineage

    found = find_lineage(*_open(config, values))
    if picture is not None:
        _draw(found, picture)
    if as_json:
        _print_json(asdict(found))
        return
    Console().print(_tree(found))


def _open(path: Path, values: Sequence[str]) -> "tuple[PipelineMetadata, str | None]":
    """Reads no more of a config than it takes, so that nothing waits for TensorFlow.

    Returns:
      The metadata, and what is wanted of it, where the values begin with that.
    """
    from tfrec.deploy.pipeline_config import PipelineConfig
    from tfrec.pipelines.metadata import PipelineMetadata

    wanted = values[0] if values and not values[0].startswith("--") else None
    others = values[1:] if wanted else values
    content = override(read_yaml(path), overrides.parse(others))
    if "name" not in content:
        raise UserError("name: missing; add it to the config")
    section = validate(PipelineConfig, content.get("pipeline") or {}, "pipeline")
    return PipelineMetadata(section.metadata_file, content["name"]), wanted


def _as_plain(run: "RunRecord") -> dict[str, Any]:
    return {
        "id": run.id,
        "began": run.began,
        "seconds": run.seconds,
        "state": run.state,
        "components": [asdict(component) for component in run.components],
    }


def _moment(seconds: float) -> str:
    """In the zone of this machine."""
    return datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M:%S")


def _print_json(content: Any) -> None:
    click.echo(json.dumps(content, indent=2))


def _line(artifact: "ArtifactRecord", root: str) -> str:
    """Where an artefact is, or what of it decides whether the model is pushed."""
    told = artifact.properties
    if "blessed" in told:
        verdict = "blessed" if told["blessed"] else "not blessed"
        return f"{artifact.name}: {verdict}: {told.get('because', '')}".removesuffix(": ")
    where = told.get("pushed_destination", os.path.relpath(artifact.uri, root))
    return f"{artifact.name}: {where}"


def _tree(found: "Lineage") -> Tree:
    tree = Tree(escape(f"version {found.version} in {found.destination}"))
    for judge, because in found.blessings.items():
        tree.add(f"[green]blessed[/] by {judge}: {escape(because)}")
    _grow(tree, found.root, found.made, set())
    return tree


def _grow(tree: Tree, made: "Made", all_made: "Mapping[int, Made]", shown: set[int]) -> None:
    """Adds what an artefact was made of, each with its own parts where it comes first."""
    for source in made.sources:
        rows = "" if source.rows is None else f", {source.rows:,} rows"
        files = escape(", ".join(source.where))
        tree.add(f"[green]{source.name}[/] {files}{rows} [dim]{source.fingerprint[:12]}[/]")
    for number in made.of:
        part = all_made[number]
        again = number in shown
        by = f"{part.by.name}, {part.by.seconds:.1f} s, {_moment(part.by.began)}"
        branch = tree.add(f"[bold]{part.artifact.name}[/] by {by}" + (" (above)" if again else ""))
        if not again:
            shown.add(number)
            branch.add(f"[dim]{escape(part.artifact.uri)}[/]")
            if part.learned_on_from:
                branch.add(f"learned on from {escape(part.learned_on_from)}")
            _grow(branch, part, all_made, shown)


def _draw(found: "Lineage", picture: Path) -> None:
    from tfrec.pipelines.lineage_picture import draw_lineage

    if picture.suffix not in _KINDS:
        raise UserError(f"picture: {picture}: not a kind of picture; end it in {', '.join(_KINDS)}")
    draw_lineage(found).savefig(picture)
