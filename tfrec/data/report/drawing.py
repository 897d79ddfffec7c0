"""The plots of the page."""

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.ticker import MaxNLocator, NullLocator, PercentFormatter

from tfrec.data.report.svg import (
    HALF,
    PART_COLOURS,
    SERIES,
    SMALL,
    STAND_INS,
    STYLE,
    WIDE,
    new_plot,
    thousands,
    to_svg,
)

_POINTS = 300
_DAY = 86_400


def draw_activity(
    edges: np.ndarray, series: Sequence[np.ndarray], borders: Mapping[str, int], unit: str
) -> Markup:
    """Draws counts over time.

    Args:
      edges: `[stretches + 1]` seconds since 1970.
      series: `[stretches]` counts of each type.
      borders: part -> its first second.
      unit: what a stretch is.

    Returns:
      The SVG.
    """
    with matplotlib.rc_context(STYLE):
        figure, axes = new_plot(WIDE)
        for counts, colour in zip(series, SERIES, strict=False):
            axes.stairs(counts, _moments(edges), color=STAND_INS[colour], linewidth=1.5)
        if len(series) == 1:
            colour = STAND_INS[SERIES[0]]
            axes.stairs(series[0], _moments(edges), fill=True, color=colour, alpha=0.15)
        for line, (part, moment) in enumerate(borders.items()):
            at = moment / _DAY
            axes.axvline(at, color=STAND_INS["ink"], linewidth=1, linestyle=(0, (4, 3)))
            above = 2 + 14 * (len(borders) - 1 - line)  # one below the other: they may be close
            axes.annotate(
                part, (at, 1), xycoords=("data", "axes fraction"),
                xytext=(4, above), textcoords="offset points", annotation_clip=False,
            )  # fmt: skip
        peaks = [counts.max() for counts in series]
        if max(peaks) > 50 * min(peaks):
            axes.set_yscale("log")
            axes.set_ylim(bottom=0.8)
        else:
            axes.set_ylim(bottom=0)
        _date_axis(axes)
        axes.set_ylabel(f"events per {unit}")
        thousands(axes, "y")
        return to_svg(figure, f"Events per {unit} over time", "activity")


def draw_popularity(counts: np.ndarray) -> Markup:
    """Draws the examples of items by rank, `[items]` descending, on two logarithmic axes."""
    ranks = np.unique(np.rint(np.geomspace(1, len(counts), _POINTS)).astype(int))
    with matplotlib.rc_context({**STYLE, "axes.grid.axis": "both"}):
        figure, axes = new_plot(WIDE)
        axes.loglog(ranks, counts[ranks - 1], color=STAND_INS["accent"], linewidth=2)
        axes.set(xlim=(0.9, None), ylim=(0.8, None))
        axes.set_xlabel("rank of the item")
        axes.set_ylabel("training examples")
        axes.minorticks_off()
        thousands(axes, "x", "y")
        return to_svg(figure, "Training examples of items by rank", "popularity")


def draw_lengths(counts: np.ndarray, across: str, up: str) -> Markup:
    """Draws how often each length occurs; by doublings where some are long.

    Args:
      counts: `[longest + 1]`, how many have the length that is their place.
      across: what the lengths are.
      up: what has them.

    Returns:
      The SVG.
    """
    longest = len(counts) - 1
    is_long = longest > 30
    edges = np.arange(1, longest + 2)
    if is_long:
        edges = 2 ** np.arange(int(longest).bit_length() + 1)
    ends = np.minimum(edges, longest + 1)
    heights = np.diff(np.r_[0, np.cumsum(counts)][ends])
    with matplotlib.rc_context(STYLE):
        figure, axes = new_plot(HALF)
        at = edges if is_long else edges - 0.5
        axes.bar(
            at[:-1], heights, np.diff(at), align="edge",
            color=STAND_INS["accent"], edgecolor=STAND_INS["line"], linewidth=0.8,
        )  # fmt: skip
        if is_long:
            axes.set_xscale("log", base=2)
            axes.set_xticks(edges[:: 1 if len(edges) <= 10 else 2])
            axes.xaxis.set_minor_locator(NullLocator())
        else:
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.yaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))
        axes.set_xlabel(across)
        axes.set_ylabel(up)
        thousands(axes, "x", "y")
        return to_svg(figure, f"{up} by {across}", f"lengths {across}")


def draw_histogram(edges: np.ndarray, shares: np.ndarray, name: str, is_time: bool) -> Markup:
    """Draws the distribution of numbers in each part.

    Args:
      edges: `[bins + 1]`, seconds since 1970 if `is_time`.
      shares: `[parts, bins]`, in the order of `PART_COLOURS`; NaN for a part without numbers.
      name: of what is drawn; different for each plot of a page.
      is_time: whether the numbers are moments.

    Returns:
      The SVG.
    """
    with matplotlib.rc_context({**STYLE, "font.size": 11}):
        figure, axes = new_plot(SMALL)
        across = _moments(edges) if is_time else edges
        for part, colour in zip(shares, PART_COLOURS, strict=True):
            if not np.isnan(part).any():
                is_train = colour == PART_COLOURS[0]
                axes.stairs(
                    part, across, fill=is_train, color=STAND_INS[colour],
                    alpha=0.35 if is_train else 1, linewidth=1.3,
                )  # fmt: skip
        if is_time:
            _date_axis(axes, most=4)
        else:
            is_whole = bool((edges % 1 == 0.5).all())  # a bin for each whole number, around it
            axes.xaxis.set_major_locator(MaxNLocator(5, integer=is_whole, min_n_ticks=1))
            thousands(axes, "x")
        axes.yaxis.set_major_locator(MaxNLocator(2))
        axes.yaxis.set_major_formatter(PercentFormatter(1, symbol="\N{NO-BREAK SPACE}%"))
        axes.set_ylim(bottom=0)
        return to_svg(figure, "Distribution in each part", f"histogram {name}")


def _moments(seconds: np.ndarray) -> np.ndarray:
    """Seconds since 1970 as matplotlib counts time: days since then."""
    return seconds / _DAY


def _date_axis(axes: Axes, most: int = 9) -> None:
    locator = AutoDateLocator(minticks=2, maxticks=most)
    axes.xaxis_date("UTC")
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, show_offset=True))
