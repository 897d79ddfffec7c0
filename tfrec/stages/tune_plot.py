"""The plot of a tuning."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tfrec.stages.tune_config import Range

_COLUMNS = 3
_PANEL_INCHES = 4.0, 3.0
_DOTS, _BEST = "#4c72b0", "#c44e52"


def draw_trials(trials: pa.Table, ranges: Mapping[str, Range], what: str) -> Figure:
    """Draws the value by trial with the best so far, and by each setting.

    Args:
      trials: see `trial_table`.
      ranges: dotted name of a setting -> what was tried.
      what: the value's name.

    Returns:
      The figure, a panel for each.
    """
    panels = 1 + len(ranges)
    columns = min(panels, _COLUMNS)
    rows = -(-panels // columns)
    width, height = _PANEL_INCHES
    figure = Figure(figsize=(width * columns, height * rows), dpi=120, layout="constrained")
    places = figure.subplots(rows, columns, sharey=True, squeeze=False).flatten()
    figure.suptitle(what)
    _draw_history(places[0], trials)
    for axes, (name, values) in zip(places[1:], ranges.items(), strict=False):
        _draw_setting(axes, trials, name, values)
    for axes in places[panels:]:
        axes.set_axis_off()
    return figure


def _draw_history(axes: Axes, trials: pa.Table) -> None:
    numbers = trials["trial"].to_numpy()
    axes.scatter(numbers, _floats(trials, "value"), color=_DOTS, s=18, label="trial")
    axes.step(numbers, _floats(trials, "best"), where="post", color=_BEST, label="best so far")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("trial")
    axes.legend(frameon=False)


def _draw_setting(axes: Axes, trials: pa.Table, name: str, values: Range) -> None:
    """One dot a trial, the best one marked; choices stand side by side in the config's order."""
    measured, at = _floats(trials, "value"), np.array(trials[name])
    if values.choices:
        choices = values.written_choices
        at = np.array([choices.index(choice) for choice in at])
        axes.set_xticks(range(len(choices)), choices)
    axes.scatter(at, measured, color=_DOTS, s=18)
    best = np.nanargmax(measured)
    axes.scatter(at[best], measured[best], color=_BEST, s=40)
    if values.log:
        axes.set_xscale("log")
    axes.set_xlabel(name)


def _floats(trials: pa.Table, column: str) -> np.ndarray:
    return trials[column].to_numpy().astype(float)
