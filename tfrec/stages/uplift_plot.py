"""The plot of how well rankers find whom a campaign changes."""

from collections.abc import Mapping

from matplotlib.figure import Figure

from tfrec.evaluation.uplift import RankerUplift

_INCHES = 6.0, 4.5
_COLOURS = "#c44e52", "#4c72b0", "#55a868", "#8172b2", "#ccb974", "#64b5cd"


def draw_qini(panels: Mapping[str, Mapping[str, RankerUplift]], what: str) -> Figure:
    """Draws Qini curves: what is gained when so large a share of the shoppers is treated.

    Args:
      panels: title -> name of a ranker -> its figures; a ranker has one colour throughout.
      what: the gain and its unit.

    Returns:
      The figure, a panel for each title.
    """
    width, height = _INCHES
    figure = Figure(figsize=(width * len(panels), height), dpi=120, layout="constrained")
    places = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, (title, rankers) in zip(places, panels.items(), strict=True):
        for (name, measured), colour in zip(rankers.items(), _COLOURS, strict=False):
            curve, qini = measured.curve, measured.qini.value
            label = f"{name} (Qini {qini:.3g})" if qini else name
            style = "-" if qini else "--"
            axes.plot(curve.shares, curve.gains, style, color=colour, linewidth=1.5, label=label)
        axes.set_title(title)
        axes.set_xlabel("share of pairs that get the campaign, in the ranker's order")
        axes.set_ylabel(what)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize="small")
    return figure
