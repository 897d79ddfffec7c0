"""Measures models by published protocols, and fails where one is worse than expected.

What is measured, and what is expected of it, stands in quality.yaml. Every row goes through the
stages `prepare` to `evaluate`; what came out before is not made again.
"""

import tfrec  # noqa: F401  it sets TensorFlow's environment, so it comes first

# isort: split
import json
import statistics
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import click
import yaml
from pydantic import Field, TypeAdapter
from rich.console import Console
from rich.table import Table

from tfrec.cli.reporter import ConsoleReporter
from tfrec.config import Section
from tfrec.stages.evaluate import evaluate
from tfrec.stages.experiment import Experiment
from tfrec.stages.index import index
from tfrec.stages.prepare import prepare
from tfrec.stages.train import train

Values = Mapping[str, float]
"""Metric -> value."""

EPILOGUE = """
\b
Examples:
  python benchmarks/quality.py
  python benchmarks/quality.py --only EASE --seed 0
  python benchmarks/quality.py --quick
"""


class Row(Section):
    """One model.

    Attributes:
      name: what it is shown as.
      model: the `model` section.
      training: changes of the `training` section.
      beside: the published model of the same kind.
      published: what is reported of that one.
      expected: what it must reach, less `tolerance`.
      tolerance: how far below `expected` it may come.
    """

    name: str
    model: dict[str, Any]
    training: dict[str, Any] = Field({})
    beside: str = ""
    published: Values = Field({})
    expected: Values
    tolerance: Annotated[float, Field(ge=0)]


class Protocol(Section):
    """One data set and how it is divided and measured.

    Attributes:
      protocol: in words.
      config: the file with its sections.
      slice: of the evaluation that is looked at.
      seeds: of the split; the mean over them counts.
      source: of what is published.
      rows: the models.
    """

    protocol: str
    config: Path
    slice: str
    seeds: tuple[int, ...]
    source: str
    rows: tuple[Row, ...]


@click.command(help=__doc__.partition("\n")[0], epilog=EPILOGUE)
@click.option("--quick", is_flag=True, help="The first seed alone.")
@click.option("--only", help="Models whose name holds this.")
@click.option("--seed", type=int, help="This seed alone.")
@click.option(
    "--runs", type=Path, default=Path("runs/quality"), show_default=True, help="For artefacts."
)
def main(quick: bool, only: str | None, seed: int | None, runs: Path) -> None:
    file = Path(__file__).with_name("quality.yaml")
    protocols = TypeAdapter(list[Protocol]).validate_python(yaml.safe_load(file.read_text()))
    result: dict[str, Values] = {}
    failures: list[str] = []
    for protocol in protocols:
        seeds = (seed,) if seed is not None else protocol.seeds[: 1 if quick else None]
        rows = [row for row in protocol.rows if not only or only.lower() in row.name.lower()]
        if not rows:
            continue
        measured = {row.name: means(protocol, row, seeds, runs) for row in rows}
        failures += [f for row in rows for f in shortfalls(row, measured[row.name])]
        Console().print(table(protocol, rows, measured, seeds))
        result |= measured
    for failure in failures:
        print(failure)
    print(json.dumps(result))
    sys.exit(1 if failures else 0)


def means(protocol: Protocol, row: Row, seeds: tuple[int, ...], runs: Path) -> Values:
    """Measures a model on the splits of some seeds, and averages."""
    each = [measure(protocol, row, seed, runs) for seed in seeds]
    return {
        metric: round(statistics.fmean(values[metric] for values in each), 4)
        for metric in row.expected
    }


def measure(protocol: Protocol, row: Row, seed: int, runs: Path) -> Values:
    """Runs the stages from `prepare` to `evaluate` for one model and split."""
    changes = {"data.seed": seed, "training.seed": seed, "evaluation.baselines": {}}
    changes |= {f"training.{name}": value for name, value in row.training.items()}
    content = {name: json.dumps(value) for name, value in changes.items()}
    experiment = Experiment.load(
        protocol.config, overrides={**content, "model": json.dumps(row.model)}
    )
    config, reporter = experiment.config, ConsoleReporter()
    split = runs / config.name / f"seed-{seed}"
    folder = split / "".join(c if c.isalnum() else "-" for c in row.name.lower())
    prepared = prepare(config.data, config.features, split / "prepare", reporter)
    trained = train(
        config.training, config.model, config.features, prepared, folder / "train", reporter
    )
    indexed = index(config.index, prepared, trained, folder / "index", reporter)
    made = evaluate(config.evaluation, prepared, trained, indexed, folder / "evaluate", reporter)
    return dict(made.manifest.summary["metrics"]["model"][protocol.slice])


def shortfalls(row: Row, measured: Values) -> Iterator[str]:
    """A line for each metric that is worse than expected."""
    for metric, expected in row.expected.items():
        if measured[metric] < expected - row.tolerance:
            yield (
                f"FAILED {row.name}: {metric} is {measured[metric]:.4f}, expected {expected:.4f} "
                f"less at most {row.tolerance}"
            )


def table(
    protocol: Protocol, rows: list[Row], measured: Mapping[str, Values], seeds: tuple[int, ...]
) -> Table:
    """Measured values beside published ones."""
    shown = Table(title=f"{protocol.protocol}; seeds {', '.join(map(str, seeds))}")
    shown.caption = f"published: {protocol.source}"
    for column in ("model", "metric", "published", "measured", "expected"):
        shown.add_column(column, justify="left" if column in ("model", "metric") else "right")
    for row in rows:
        for metric, value in measured[row.name].items():
            published = row.published.get(metric)
            shown.add_row(
                row.name,
                metric,
                "" if published is None else f"{row.beside} {published:.3f}",
                f"{value:.3f}",
                f"{row.expected[metric]:.3f} - {row.tolerance:.3f}",
            )
    return shown


if __name__ == "__main__":
    main()
