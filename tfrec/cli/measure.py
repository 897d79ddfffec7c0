"""`tfrec measure`: what logs say of shoppers, of a test's arms and of another policy."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click
import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tfrec.cli import overrides
from tfrec.config import Section

if TYPE_CHECKING:
    from tfrec.evaluation.online.experiment import Readout
    from tfrec.evaluation.online.interleaving import Preference
    from tfrec.evaluation.online.off_policy_estimate import OffPolicyEstimate
    from tfrec.evaluation.online.ratio import Estimate

SectionT = TypeVar("SectionT", bound=Section)

_NAMED = 5
_FEW_ROWS = 100


@click.group()
def measure() -> None:
    """Measure logs: clicks and orders, the arms of a test, or what another policy would earn.

    \b
    Examples:
      tfrec measure clicks measures.yaml
      tfrec measure ab measures.yaml --late weight
      tfrec measure off-policy configs/open_bandit.yaml
    """


@measure.command(context_settings=overrides.OPEN)
@click.argument("config", type=click.Path(path_type=Path))
@click.argument("values", nargs=-1, type=click.UNPROCESSED, metavar="[--NAME VALUE]...")
def clicks(config: Path, values: tuple[str, ...]) -> None:
    """Show click-through, conversion, revenue and signs of satisfaction, with 95 % intervals.

    \b
    Example:
      tfrec measure clicks measures.yaml --order_within 14d
    """
    from tfrec.evaluation.online.config import OnlineConfig
    from tfrec.evaluation.online.event_log import read_events
    from tfrec.evaluation.online.measures import MEASURES, measure_log
    from tfrec.evaluation.online.ratio import ratio

    settings = _load(OnlineConfig, config, values)
    log = read_events(settings)
    found, not_given = measure_log(log, settings)
    table = _table(f"{len(log):,} events", "metric", "of", "value", "95 % interval", "meaning")
    left_out = dict(log.left_out)
    for name, sums in found.items():
        figure = ratio(sums.numerators, sums.denominators)
        counted = f"{sums.denominators.sum():,.0f}"
        meaning = MEASURES[name].meaning
        table.add_row(name, counted, _value(figure), _interval(figure), meaning)
        left_out |= {f"{name}: {reason}": count for reason, count in sums.left_out.items()}
    _print(table, [*_left_out(left_out), *_not_given(not_given)])


@measure.command(context_settings=overrides.OPEN)
@click.argument("config", type=click.Path(path_type=Path))
@click.argument("values", nargs=-1, type=click.UNPROCESSED, metavar="[--NAME VALUE]...")
def ab(config: Path, values: tuple[str, ...]) -> None:
    """Compare the arms of a test; no winner if shoppers were not divided as they should be.

    \b
    Example:
      tfrec measure ab measures.yaml --arms.start 2024-03-01
    """
    from tfrec.evaluation.online.config import OnlineConfig
    from tfrec.evaluation.online.event_log import read_events
    from tfrec.evaluation.online.experiment import read_experiment

    settings = _load(OnlineConfig, config, values)
    _show_readout(read_experiment(read_events(settings), settings))


@measure.command(context_settings=overrides.OPEN)
@click.argument("config", type=click.Path(path_type=Path))
@click.argument("values", nargs=-1, type=click.UNPROCESSED, metavar="[--NAME VALUE]...")
def interleaving(config: Path, values: tuple[str, ...]) -> None:
    """Show which of two rankings shoppers prefer, where both were dealt into one slate.

    \b
    Example:
      tfrec measure interleaving configs/service_interleaving.yaml
    """
    from tfrec.evaluation.online.config import OnlineConfig
    from tfrec.evaluation.online.event_log import read_events
    from tfrec.evaluation.online.interleaving import read_preference

    settings = _load(OnlineConfig, config, values)
    _show_preference(read_preference(read_events(settings), settings))


@measure.command("off-policy", context_settings=overrides.OPEN)
@click.argument("config", type=click.Path(path_type=Path))
@click.argument("values", nargs=-1, type=click.UNPROCESSED, metavar="[--NAME VALUE]...")
def off_policy(config: Path, values: tuple[str, ...]) -> None:
    """Estimate what another policy would earn, from a log with propensities.

    \b
    Example:
      tfrec measure off-policy configs/open_bandit.yaml
    """
    from tfrec.evaluation.online.off_policy_config import OffPolicyConfig
    from tfrec.evaluation.online.off_policy_estimate import estimate
    from tfrec.evaluation.online.rounds import read_rounds

    settings = _load(OffPolicyConfig, config, values)
    _show_estimate(estimate(read_rounds(settings), settings))


def _load(section: type[SectionT], path: Path, values: tuple[str, ...]) -> SectionT:
    from tfrec.config import override, read_yaml, validate

    return validate(section, override(read_yaml(path), overrides.parse(values)))


def _show_readout(readout: "Readout") -> None:
    ratio = readout.sample_ratio
    users = _table(f"Shoppers, p {_p_value(ratio.p_value)}", "arm", "shoppers", "by the split")
    for arm, count in ratio.users.items():
        users.add_row(escape(arm), f"{count:,}", f"{ratio.expected[arm]:,.1f}")
    columns = "metric", "arm", "control", "value", "lift", "difference", "p", "verdict"
    table = _table("Arms beside the control", *columns)
    for one in readout.contrasts:
        table.add_row(
            one.metric,
            escape(one.arm),
            _value(one.control),
            _value(one.treatment),
            "-" if np.isnan(one.lift.value) else f"{one.lift.value:+.1%}",
            _interval(one.difference),
            _p_value(one.p_value),
            one.verdict,
        )
    remarks = [*_left_out(readout.left_out), *_not_given(readout.not_given)]
    if readout.adjusted:
        remarks.append(f"adjusted by what shoppers did before: {', '.join(readout.adjusted)}")
    if ratio.mismatch:
        remarks.append(
            "warning: sample ratio mismatch: something other than the split decides which "
            "shoppers are seen in which arm; find it before you read the figures"
        )
    _console().print(users)
    _print(table, remarks)


def _show_preference(found: "Preference") -> None:
    columns = "team", "impressions", "clicks", "shoppers who prefer it"
    table = _table(f"Two rankings, p {_p_value(found.p_value)}", *columns)
    for one in found.teams:
        counts = f"{one.impressions:,}", f"{one.clicks:,}", f"{one.shoppers:,}"
        table.add_row(escape(one.team), *counts)
    remarks = [
        f"shoppers who prefer one: {found.share:.1%} prefer {found.teams[0].team}, "
        f"{found.low:.1%} .. {found.high:.1%}",
        f"shoppers who clicked as many of both: {found.undecided:,}",
        f"verdict: {found.verdict}",
        *_left_out(found.left_out),
    ]
    _print(table, remarks)


def _show_estimate(found: "OffPolicyEstimate") -> None:
    table = _table("Mean reward", "policy", "by", "value", "95 % interval")
    table.add_row("logged", "measured", _value(found.logged), _interval(found.logged))
    for name, figure in found.estimates.items():
        table.add_row("target", name, _value(figure), _interval(figure))
    if found.measured:
        table.add_row("target", "measured", _value(found.measured), _interval(found.measured))
    share = found.effective_rows / found.rows
    remarks = [
        f"rows: {found.rows:,}, worth {found.effective_rows:,.0f} of the target's ({share:.0%})",
        f"mean weight: {_value(found.mean_weight)}, {_interval(found.mean_weight)}; should be 1",
        *([f"weights cut: {found.clipped:,} rows"] if found.clipped else []),
        *_left_out(found.rejected),
        *_unsupported(found),
    ]
    if found.effective_rows < _FEW_ROWS:
        remarks.append(
            "warning: a few rows carry the whole estimate; the log's policy hardly ever does what "
            "the target does"
        )
    if found.doubtful:
        remarks.append(
            "warning: the mean weight is further from 1 than chance takes it; the propensities, or "
            "the target's probabilities, are not those of these choices"
        )
    _print(table, remarks)


def _unsupported(found: "OffPolicyEstimate") -> Iterator[str]:
    if found.unsupported:
        named = [
            f"{one.action} at {one.context}" if one.context else one.action
            for one in found.unsupported[:_NAMED]
        ]
        more = len(found.unsupported) - len(named)
        yield (
            f"warning: the log never shows {found.unsupported_share:.2%} of the target's choices: "
            f"{'; '.join(named)}{f' and {more:,} more' if more else ''}"
        )


def _left_out(counts: Mapping[str, int]) -> Iterator[str]:
    for reason, count in counts.items():
        yield f"left out: {reason}: {count:,}"


def _not_given(reasons: Mapping[str, str]) -> Iterator[str]:
    for name, reason in reasons.items():
        yield f"not given: {name}: {reason}"


def _value(figure: "Estimate") -> str:
    return "-" if np.isnan(figure.value) else f"{figure.value:.5g}"


def _interval(figure: "Estimate") -> str:
    return "-" if np.isnan(figure.low) else f"{figure.low:.4g} .. {figure.high:.4g}"


def _p_value(value: float) -> str:
    if np.isnan(value):
        return "-"
    return "< 0.0001" if value < 1e-4 else f"{value:.4f}"


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, box=SIMPLE_HEAD)
    for column in columns:
        left = column in ("metric", "arm", "team", "policy", "by", "meaning", "verdict")
        table.add_column(column, justify="left" if left else "right")
    return table


def _print(table: Table, remarks: list[str]) -> None:
    console = _console()
    console.print(table)
    for line in remarks:
        style = "yellow" if line.startswith("warning") else None
        console.print(line, style=style, markup=False, highlight=False, soft_wrap=True)


def _console() -> Console:
    """Where the output is no terminal, lines are as long as they need to be."""
    console = Console()
    return console if console.is_terminal else Console(width=200)
