"""The plot of a load test."""

import io
from html import escape
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from tfrec.errors import UserError
from tfrec.serving.load_test import OK, LoadResult

_INCHES, _DOTS_PER_INCH = (11.0, 3.6), 144
_DOTS, _LINE, _ERRORS = "#4c72b0", "#1f3555", "#c44e52"
# One of so many requests takes longer than the percentile.
_TICKS = {1: "0", 2: "50", 10: "90", 100: "99", 1_000: "99.9", 10_000: "99.99", 100_000: "99.999"}
_PIECES = 100
_MOST_DOTS = 5000


def check_plot_file(file: Path) -> None:
    """Refuses names of files that `write_load_plot` does not write.

    Raises:
      UserError: if the name ends in neither .svg nor .html, or there is no such directory.
    """
    if file.suffix not in (".svg", ".html"):
        raise UserError(f"--plot: {file} is neither .svg nor .html; name one")
    if not file.parent.is_dir():
        raise UserError(f"--plot: {file.parent} is no directory; make it first")


def write_load_plot(result: LoadResult, title: str, file: Path) -> None:
    """Writes the plot of `draw_load` to an .svg file, or to an .html page of it."""
    drawn = io.StringIO()
    draw_load(result, title).savefig(drawn, format="svg", dpi=_DOTS_PER_INCH)
    text = drawn.getvalue()
    if file.suffix == ".html":
        picture = text[text.index("<svg") :]
        text = f'<!doctype html>\n<meta charset="utf-8">\n<title>{escape(title)}</title>\n{picture}'
    file.write_text(text)


def draw_load(result: LoadResult, title: str) -> Figure:
    """Draws latency by percentile and latency over time; errors are marked.

    Args:
      result: of `run_load`.
      title: what was asked.

    Returns:
      The figure of two panels.
    """
    figure = Figure(figsize=_INCHES, layout="constrained")
    by_percentile, over_time = figure.subplots(1, 2)
    figure.suptitle(title)
    _draw_percentiles(by_percentile, result)
    _draw_time(over_time, result)
    for axes in (by_percentile, over_time):
        axes.set_ylabel("latency in ms")
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def _draw_percentiles(axes: Axes, result: LoadResult) -> None:
    """Percentiles of all requests; the farther up, the wider, as a tail is what matters."""
    latencies = np.sort(result.milliseconds)
    above = 1 - np.arange(len(latencies)) / len(latencies)
    axes.step(1 / above, latencies, where="post", color=_LINE)
    axes.set_xscale("log")
    ticks = {one_of: name for one_of, name in _TICKS.items() if one_of <= len(latencies)}
    axes.set_xticks(list(ticks), list(ticks.values()))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_ylim(bottom=0)
    axes.set_xlabel("percentile")


def _draw_time(axes: Axes, result: LoadResult) -> None:
    """A dot a request, every so many of them if there are many, and the slowest of each moment."""
    good = result.codes == OK
    for which, colour, size, label in ((good, _DOTS, 2, OK), (~good, _ERRORS, 5, "error")):
        places = np.flatnonzero(which)
        shown = places[:: -(-len(places) // _MOST_DOTS) or 1]
        if len(shown):
            axes.plot(
                result.due[shown], result.milliseconds[shown], ".", color=colour, markersize=size,
                zorder=size, label=label, rasterized=True,
            )  # fmt: skip
    pieces = np.minimum(result.due / result.seconds * _PIECES, _PIECES - 1).astype(int)
    slowest = np.full(_PIECES, np.nan)
    np.fmax.at(slowest, pieces, result.milliseconds)
    moments = (np.arange(_PIECES) + 0.5) * result.seconds / _PIECES
    axes.plot(moments, slowest, color=_LINE, linewidth=1, label="slowest")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("seconds since the begin, when due")
    axes.legend(frameon=False, loc="upper right")
