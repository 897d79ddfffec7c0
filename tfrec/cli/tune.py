"""`tfrec tune`: what to set a config's values to."""

from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

from tfrec.cli import overrides
from tfrec.cli.reporter import ConsoleReporter
from tfrec.errors import UserError

if TYPE_CHECKING:
    from tfrec.stages.tune import Tuned

_SHOWN = 5
_EPILOGUE = """\b
Examples:
  tfrec tune configs/complete_journey.yaml
  tfrec tune configs/complete_journey.yaml --trials 50 --tuning.timeout 2h
  tfrec run runs/complete_journey/tune/best.yaml
\b
The config says what to try:
  tuning:
    metric: recall@10
    slice: new_to_shopper
    ranges:
      model.temperature: {low: 0.02, high: 0.5, log: true}
      model.embedding_dim: [32, 64, 128]
      training.epochs: {low: 1, high: 5}
"""


@click.command(epilog=_EPILOGUE, context_settings=overrides.OPEN)
@click.argument("config")
@click.option("--trials", help="Short for --tuning.trials, which counts those of earlier calls.")
@click.option("--keep", is_flag=True, help="Keep the models of all trials, not only the best.")
@click.argument("values", nargs=-1, type=click.UNPROCESSED, metavar="[--NAME VALUE]...")
def tune(config: str, trials: str | None, keep: bool, values: tuple[str, ...]) -> None:
    """Try values of a config's settings on the validation part, and write the best ones.

    The same command goes on with a tuning that was cut short.
    """
    from pathlib import Path

    from tfrec.config import override, read_yaml
    from tfrec.stages.tune import tune as make

    changes = overrides.parse(values)
    if trials is not None:
        changes["tuning.trials"] = trials
    content = override(read_yaml(Path(config)), changes)
    try:
        with ConsoleReporter() as reporter:
            tuned = make(content, reporter, keep)
    except KeyboardInterrupt:
        raise UserError("tune: interrupted; the same command goes on behind what is done") from None
    _show(tuned)


def _show(tuned: "Tuned") -> None:
    import pyarrow.parquet

    made = pyarrow.parquet.read_table(tuned.trials).to_pylist()
    best = sorted(
        (trial for trial in made if trial["state"] == "complete"), key=lambda trial: -trial["value"]
    )
    known = {"trial", "state", "value", "best", "seconds", "error"}
    settings = [name for name in made[0] if name not in known]
    table = Table("trial", "value", "seconds", *settings, title=f"Best of {len(made)} trials")
    for trial in best[:_SHOWN]:
        tried = (_figure(trial[name]) for name in settings)
        table.add_row(
            str(trial["trial"]), f"{trial['value']:.4f}", f"{trial['seconds']:.1f}", *tried
        )
    Console().print(table)
    click.echo(f"best config: {tuned.best}")
    click.echo(f"its report, on the validation part: {tuned.report(best[0]['trial'])}")
    click.echo(f"trials: {tuned.trials_csv}, {tuned.plot}")


def _figure(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
