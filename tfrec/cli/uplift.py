"""`tfrec uplift`: what campaigns change, for whom, and whom to send them."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tfrec.cli import overrides
from tfrec.cli.reporter import ConsoleReporter

if TYPE_CHECKING:
    from tfrec.evaluation.online.ratio import Estimate
    from tfrec.evaluation.uplift import RankerUplift
    from tfrec.stages.uplift import UpliftResult

_TOP = 0.2
_LARGE = 1_000
_EPILOGUE = """\b
Examples:
  tfrec uplift configs/coupons.yaml
  tfrec uplift configs/coupons.yaml --outcome buys --learner x
  tfrec uplift configs/coupons.yaml --allocation.budget 500 --allocation.each 1
"""


@click.command(epilog=_EPILOGUE, context_settings=overrides.OPEN)
@click.argument("config", type=click.Path(path_type=Path))
@click.argument("values", nargs=-1, type=click.UNPROCESSED, metavar="[--NAME VALUE]...")
def uplift(config: Path, values: tuple[str, ...]) -> None:
    """Learn what campaigns change from earlier ones, try it on later ones, and say whom to send.

    Any value of the config can be given by its dotted name.
    """
    from tfrec.config import override, read_yaml, validate
    from tfrec.evaluation.promotions.config import UpliftConfig
    from tfrec.stages.uplift import uplift as learn

    settings = validate(UpliftConfig, override(read_yaml(config), overrides.parse(values)))
    with ConsoleReporter() as reporter:
        result, report = learn(settings, reporter)
    _show(result)
    click.echo(f"Qini curves: {report.plot}")
    click.echo(f"figures: {report.figures}, pairs: {report.pairs}")


def _show(result: "UpliftResult") -> None:
    from tfrec.stages.uplift import UNITS

    unit = UNITS[result.outcome]
    console = _console()
    console.print(_effects(result, unit))
    console.print(_rankers("All held-out pairs, adjusted", unit, result.rankers))
    console.print(_rankers("Within each held-out campaign, adjusted", unit, result.within))
    console.print(_rankers("All held-out pairs, as if sent at random", unit, result.counted))
    console.print(_campaigns(result, unit))
    if result.promise:
        console.print(_sendings(result))
        promise = result.promise
        for line in (
            f"promised by the model: {_number(promise.value)}; one more unit of the budget would "
            f"change {promise.price:.3g}",
            f"regret: at most {_number(promise.regret)} ({promise.regret_share:.3%}) by the model, "
            "beside the best allocation of this budget",
        ):
            console.print(line, highlight=False, soft_wrap=True)
    for reason, count in result.left_out.items():
        console.print(f"left out: {reason}: {count:,}", markup=False, highlight=False)
    if result.rankers["uplift"].qini.low <= 0:
        console.print(
            "warning: on held-out campaigns the model is not better than chance (Qini's interval "
            "reaches 0)",
            style="yellow",
        )


def _effects(result: "UpliftResult", unit: str) -> Table:
    counts = "how many", "pairs", "sent", "overlapping"
    figures = "arms apart", "weighted", "naive effect", "adjusted"
    table = _table(f"What a campaign changes, {unit}", "campaigns", *counts, *figures)
    for name, part in (("learned from", result.learned), ("held out", result.held_out)):
        table.add_row(
            name,
            f"{len(part.campaigns)}",
            *(f"{count:,}" for count in (part.pairs, part.sent, part.overlapping)),
            *(f"{apart:.2f}" for apart in (part.unlike, part.unlike_weighted)),
            *(_figure(effect) for effect in (part.naive, part.adjusted)),
        )
    return table


def _rankers(title: str, unit: str, rankers: "Mapping[str, RankerUplift]") -> Table:
    columns = "ranked by", "Qini", "AUUC", f"gain of the first {_TOP:.0%}", "behind uplift by"
    table = _table(f"{title}, {unit} a pair", *columns)
    for place, (name, found) in enumerate(rankers.items()):
        table.add_row(
            name,
            _figure(found.qini),
            _figure(found.auuc),
            f"{found.curve.at(_TOP):.4g}",
            _figure(found.less_than_first) if place else "-",
        )
    return table


def _campaigns(result: "UpliftResult", unit: str) -> Table:
    columns = "campaign", "overlapping", "sent", "adjusted effect", "uplift's Qini"
    table = _table(f"Held-out campaigns one by one, {unit}", *columns)
    for name, found in result.campaigns.items():
        counts = f"{found.overlapping:,}", f"{found.sent:,}"
        table.add_row(escape(name), *counts, _figure(found.adjusted), _figure(found.qini))
    return table


def _sendings(result: "UpliftResult") -> Table:
    columns = "sent by", "campaigns sent", "shoppers", "cost", "changes in all"
    table = _table("Sent within the budget, by the held-out campaigns' effects", *columns)
    for name, found in result.sendings.items():
        counts = f"{found.offers:,}", f"{found.shoppers:,}", f"{found.cost:,.2f}"
        table.add_row(name, *counts, _figure(found.gain))
    return table


def _figure(figure: "Estimate") -> str:
    return f"{_number(figure.value)} ({_number(figure.low)} .. {_number(figure.high)})"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= _LARGE else f"{value:.3g}"


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, box=SIMPLE_HEAD)
    for place, column in enumerate(columns):
        table.add_column(column, justify="right" if place else "left")
    return table


def _console() -> Console:
    """Where the output is no terminal, lines are as long as they need to be."""
    console = Console()
    return console if console.is_terminal else Console(width=200)
