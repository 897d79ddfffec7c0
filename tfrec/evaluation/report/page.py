"""The report: one page of HTML that needs nothing else."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from tfrec.data import report as data_report
from tfrec.evaluation.config import NEW, Protocol
from tfrec.evaluation.report.gathering import Gathering
from tfrec.evaluation.report.index_choice import IndexChoice
from tfrec.evaluation.report.reliability import Reliability

_NONE = "\N{EN DASH}"
_MOST_SLICES = 100
_SHARED = Path(data_report.__file__).parent
"""Where the style is that both reports have."""


@dataclass(frozen=True)
class Cost:
    """What a stage took.

    Attributes:
      stage: its name.
      seconds: time.
      peak_memory_bytes: the most memory in use, in all processes together.
    """

    stage: str
    seconds: float
    peak_memory_bytes: int


def render(
    summary: Mapping[str, Any],
    gathering: Gathering,
    protocol: Protocol,
    model: Mapping[str, Any],
    costs: Sequence[Cost],
    window: str,
    choice: IndexChoice | None = None,
) -> str:
    """Makes a page that shows what an evaluation found; what the shop's data say is escaped.

    Args:
      summary: of the evaluation's manifest; see `Evaluation.summary`.
      gathering: what was gathered while the rankers were measured.
      protocol: how they were measured.
      model: summary of the trained model's manifest.
      costs: what making the model took, by stage.
      window: the part of the data that it was measured on.
      choice: how its index was chosen; none where there was nothing to choose.

    Returns:
      HTML that needs no other file.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([Path(__file__).parent, _SHARED]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": "{:,}".format,
        "figure": _figure,
        "signed": _signed,
        "p_value": _p_value,
        "seconds": _seconds,
        "memory": _memory,
    }
    rankers = [*summary["metrics"]]
    plots = _Plots(gathering, protocol)
    return environment.get_template("page.html").render(
        summary=summary,
        gathering=gathering,
        protocol=protocol,
        model=model,
        costs=costs,
        window=window,
        choice=choice,
        plots=plots,
        rankers=rankers,
        key=list(zip(rankers, plots.colours, strict=False)),
        titles=[protocol.title(measure) for measure in protocol.measures],
        tops=_tops(summary, protocol),
        slices={ranking: _slices(summary, ranking) for ranking in protocol.rankings},
        most_slices=_MOST_SLICES,
        is_new=NEW,
    )


class _Plots:
    """The plots, drawn when the page asks for them."""

    def __init__(self, gathering: Gathering, protocol: Protocol) -> None:
        # Matplotlib takes a second to import; whoever only names this module does not wait for it.
        from tfrec.data.report.svg import SERIES
        from tfrec.evaluation.report import drawing

        self._gathering, self._protocol, self._drawing = gathering, protocol, drawing
        self.colours = SERIES

    def curve(self, ranking: str, kind: str) -> Markup:
        curves = self._gathering.curves[ranking][kind]
        label = f"{kind} by length of the list, {ranking}"
        return self._drawing.draw_curve(self._gathering.lengths, curves, label)

    def deciles(self, ranking: str) -> Markup:
        fewest = self._protocol.min_users
        recalls = {
            ranker: found.recall(fewest) for ranker, found in self._gathering.found[ranking].items()
        }
        label = f"Recall by popularity of the item, {ranking}"
        return self._drawing.draw_deciles(self._gathering.deciles, recalls, label)

    def reliability(self, task: str, found: Reliability) -> Markup:
        return self._drawing.draw_reliability(found, f"Labels by prediction, {task}")

    def index(self, choice: IndexChoice) -> Markup:
        return self._drawing.draw_index(choice, f"Recall@{choice.k} of the index by time")


def _tops(summary: Mapping[str, Any], protocol: Protocol) -> dict[str, dict[str, float]]:
    """Ranking -> metric -> the right end of the axis that intervals are drawn on."""
    metrics, intervals = summary["metrics"], summary["intervals"]
    tops: dict[str, dict[str, float]] = {}
    for ranking in protocol.rankings:
        tops[ranking] = {}
        for title in map(protocol.title, protocol.measures):
            ends = [metrics[ranker][ranking][title] for ranker in metrics]
            ends += [intervals[ranker][ranking].get(title, [0, 0])[1] for ranker in metrics]
            tops[ranking][title] = max(filter(_is_number, ends), default=0) or 1.0
    return tops


def _slices(summary: Mapping[str, Any], ranking: str) -> list[str]:
    """The slices of a ranking in their order."""
    first = next(iter(summary["metrics"].values()))
    return [name for name in first if name.startswith(f"{ranking}/")]


def _is_number(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _figure(value: float | None) -> str:
    """A metric to four digits; none without a shopper to measure it on."""
    return f"{value:.4f}" if value is not None and math.isfinite(value) else _NONE


def _signed(value: float) -> str:
    return f"{value:+.4f}".replace("-", "\N{MINUS SIGN}") if math.isfinite(value) else _NONE


def _p_value(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) else _NONE


def _seconds(value: float) -> str:
    """A length of time in the largest unit that it is at least one of."""
    for unit, length in (("h", 3600), ("min", 60)):
        if value >= length:
            return f"{value / length:,.1f}\N{NO-BREAK SPACE}{unit}"
    return f"{value:,.1f}\N{NO-BREAK SPACE}s"


def _memory(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:,.2f}\N{NO-BREAK SPACE}GB"
