"""The plots of the page."""

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator, PercentFormatter

from tfrec.data.report.svg import (
    HALF,
    SERIES,
    STAND_INS,
    STYLE,
    WIDE,
    new_plot,
    thousands,
    to_svg,
)
from tfrec.evaluation.report.deciles import Deciles
from tfrec.evaluation.report.index_choice import IndexChoice
from tfrec.evaluation.report.reliability import Reliability
from tfrec.retrieval.tuning import Measurement

_SQUARE = (420, 340)
_TICKS = (1, 2, 5)
_DASHED = (0, (4, 3))


def draw_curve(lengths: Sequence[int], curves: Mapping[str, np.ndarray], label: str) -> Markup:
    """Draws a metric by the length of the lists, a line for each ranker.

    Args:
      lengths: of the lists, ascending.
      curves: ranker -> `[lengths]` means, in the order of `SERIES`.
      label: what is drawn; different for each plot of a page.

    Returns:
      The SVG.
    """
    with matplotlib.rc_context(STYLE):
        figure, axes = new_plot(HALF)
        _lines(axes, np.array(lengths), curves)
        axes.set_xscale("log")
        ticks = [step * 10**power for power in range(len(str(lengths[-1]))) for step in _TICKS]
        axes.xaxis.set_major_locator(FixedLocator(ticks))
        axes.xaxis.set_minor_locator(NullLocator())
        thousands(axes, "x")
        axes.set_xlabel("length of the list, k")
        return to_svg(figure, label, label)


def draw_deciles(deciles: Deciles, recalls: Mapping[str, np.ndarray], label: str) -> Markup:
    """Draws recall by the items' popularity.

    Args:
      deciles: tenths of the catalogue.
      recalls: ranker -> `[tenths]`, in the order of `SERIES`; NaN for none.
      label: what is drawn; different for each plot of a page.

    Returns:
      The SVG.
    """
    with matplotlib.rc_context(STYLE):
        figure, axes = new_plot(WIDE)
        _lines(axes, np.arange(len(deciles)), recalls)
        axes.set_xlim(-0.5, len(deciles) - 0.5)
        ranges = [_range(*ends) for ends in zip(deciles.least, deciles.most, strict=True)]
        axes.set_xticks(range(len(deciles)), ranges)
        axes.yaxis.set_major_formatter(PercentFormatter(1, symbol="\N{NO-BREAK SPACE}%"))
        axes.set_xlabel("training events of the item, a tenth of the catalogue each")
        axes.set_ylabel("recall")
        return to_svg(figure, label, label)


def draw_reliability(found: Reliability, label: str) -> Markup:
    """Draws what happens beside what is predicted; on the diagonal both are the same.

    Args:
      found: bins of examples.
      label: what is drawn; different for each plot of a page.

    Returns:
      The SVG.
    """
    least = min(found.predicted.min(), found.happened.min(), 0)
    most = max(found.predicted.max(), found.happened.max()) * 1.05 or 1
    with matplotlib.rc_context({**STYLE, "axes.grid.axis": "both"}):
        figure, axes = new_plot(_SQUARE)
        axes.plot(
            [least, most], [least, most], color=STAND_INS["muted"], linewidth=1,
            linestyle=_DASHED,
        )  # fmt: skip
        axes.plot(
            found.predicted, found.happened, color=STAND_INS["accent"], linewidth=2, marker="o",
            markersize=5,
        )  # fmt: skip
        axes.set(xlim=(least, most), ylim=(least, most))
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.set_xlabel("mean prediction")
        axes.set_ylabel("mean label")
        return to_svg(figure, label, label)


def draw_index(choice: IndexChoice, label: str) -> Markup:
    """Draws recall beside time for all settings that were tried.

    A line joins those that no other beats in both, a ring marks the chosen one, and the promised
    recall is dashed.

    Args:
      choice: what was tried.
      label: what is drawn; different for each plot of a page.

    Returns:
      The SVG.
    """
    with matplotlib.rc_context(STYLE):
        figure, axes = new_plot(WIDE)
        accent, muted = STAND_INS["accent"], STAND_INS["muted"]
        axes.axhline(choice.promise.recall, color=muted, linewidth=1, linestyle=_DASHED)
        axes.plot(*_places(choice.measured), "o", color=muted, markersize=4)
        axes.plot(*_places(choice.front), color=accent, linewidth=2, marker="o", markersize=5)
        axes.plot(
            *_places([choice.chosen]), "o", markerfacecolor="none", markeredgecolor=accent,
            markeredgewidth=2, markersize=13,
        )  # fmt: skip
        axes.set_xlim(left=0)
        axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.set_xlabel("milliseconds for one query, the median")
        axes.set_ylabel(f"recall@{choice.k}")
        return to_svg(figure, label, label)


def _places(measured: Sequence[Measurement]) -> tuple[list[float], list[float]]:
    return [one.milliseconds for one in measured], [one.recall for one in measured]


def _lines(axes: Axes, across: np.ndarray, rankers: Mapping[str, np.ndarray]) -> None:
    """Draws a line for each ranker, the first one, the model, thicker and above the others."""
    for place, (values, colour) in enumerate(zip(rankers.values(), SERIES, strict=False)):
        axes.plot(
            across, values, color=STAND_INS[colour], linewidth=1.3 if place else 2.4, marker="o",
            markersize=3 if place else 4, zorder=3 if place else 4,
        )  # fmt: skip
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_locator(MaxNLocator(5))


def _range(least: int, most: int) -> str:
    return f"{least:,}" if least == most else f"{least:,}\N{EN DASH}{most:,}"
