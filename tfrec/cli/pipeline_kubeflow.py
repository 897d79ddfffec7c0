"""`tfrec pipeline compile` and `submit`: the pipeline on Kubeflow."""

from typing import TYPE_CHECKING, Any

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from tfrec.cli import overrides
from tfrec.errors import UserError

if TYPE_CHECKING:
    from tfrec.pipelines.kubeflow.compiled import Compiled
    from tfrec.stages.experiment import ExperimentConfig

_COMPILE_EPILOGUE = """\b
Example:
  tfrec pipeline compile configs/shop.yaml --out pipeline.yaml --pipeline.kubeflow.cpu 4
"""
_SUBMIT_EPILOGUE = """\b
Examples:
  tfrec pipeline submit configs/shop.yaml --host http://localhost:8888
  tfrec pipeline submit configs/shop.yaml --schedule "0 3 * * *"
\b
A token in the file that KF_PIPELINES_SA_TOKEN_PATH names signs in.
"""


@click.command("compile", epilog=_COMPILE_EPILOGUE, context_settings=overrides.OPEN)
@click.argument("config")
@click.option("--out", default="pipeline.yaml", show_default=True, help="File to write.")
@click.argument("values", nargs=-1, type=click.UNPROCESSED, metavar="[--NAME VALUE]...")
def compile_(config: str, out: str, values: tuple[str, ...]) -> None:
    """Write the file that open-source Kubeflow Pipelines runs."""
    from pathlib import Path

    compiled = _compile(_load(config, values))
    compiled.write(Path(out))
    _show(compiled)
    click.echo(f"compiled: {out}")


@click.command(epilog=_SUBMIT_EPILOGUE, context_settings=overrides.OPEN)
@click.argument("config")
@click.option("--schedule", help="Cron line: run then, again and again, in place of now.")
@click.option("--host", help="Short for --pipeline.kubeflow.host.")
@click.argument("values", nargs=-1, type=click.UNPROCESSED, metavar="[--NAME VALUE]...")
def submit(config: str, schedule: str | None, host: str | None, values: tuple[str, ...]) -> None:
    """Upload the pipeline to Kubeflow and run it, now or on a schedule."""
    from pathlib import Path
    from tempfile import TemporaryDirectory

    from tfrec.pipelines.kubeflow.schedule import to_kubeflow

    if schedule:
        to_kubeflow(schedule)  # before anything that takes longer
    short = ("--pipeline.kubeflow.host", host) if host else ()
    experiment = _load(config, (*values, *short))
    from tfrec.pipelines.kubeflow.experiment import kubeflow_section
    from tfrec.pipelines.kubeflow.submit import submit as send

    kubeflow = kubeflow_section(experiment)
    if kubeflow.host is None:
        raise UserError("pipeline.kubeflow.host: missing; give the URL of the API, e.g. --host URL")
    with TemporaryDirectory() as folder:
        package = Path(folder) / "pipeline.yaml"
        _compile(experiment).write(package)
        account = kubeflow.service_account
        sent = send(package, kubeflow.host, kubeflow.namespace, account, schedule)
    if sent.cron is None:
        click.echo(f"running version {sent.version}")
    else:
        instead = f", in place of {sent.replaced} before it" if sent.replaced else ""
        click.echo(f"version {sent.version} runs at {sent.cron!r}, by Kubeflow's clock{instead}")
    click.echo(sent.page)


def _load(config: str, values: tuple[str, ...]) -> "ExperimentConfig":
    from tfrec.stages.experiment import Experiment

    return Experiment.load(config, overrides=overrides.parse(values)).config


def _compile(config: "ExperimentConfig") -> "Compiled":
    from tfrec.pipelines.kubeflow.experiment import compile_experiment

    return compile_experiment(config)


def _show(compiled: "Compiled") -> None:
    table = Table(title=compiled.spec.pipeline_info.name, box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("task", no_wrap=True)
    table.add_column("after", overflow="fold")
    for column in ("cpu", "memory", "gpus", "retries", "cached"):
        table.add_column(column, justify="right")
    for row in compiled.rows:
        table.add_row(row["task"], "\n".join(row["after"]), *_cells(row))
    Console().print(table)


def _cells(row: dict[str, Any]) -> list[str]:
    from tfrec.embeddings.planner import readable

    return [
        f"{row['cpu']:g}" if row["cpu"] else "",
        readable(row["memory"]) if row["memory"] else "",
        *(str(row[name] or "") for name in ("gpus", "retries")),
        "yes" if row["cached"] else "no",
    ]
