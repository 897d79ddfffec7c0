"""The picture of a lineage."""

from collections.abc import Mapping
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from tfrec.pipelines.lineage import Lineage, Made, SourceRecord

_BOX_INCHES, _ROW_INCHES = 1.9, 0.85
_MADE, _SOURCE, _LINE = "#dde7f3", "#e7f0dd", "0.4"


class _Box(NamedTuple):
    """A box, and the names of those below it that it was made of."""

    text: str
    colour: str
    of: tuple[str, ...] = ()


def draw_lineage(lineage: Lineage) -> Figure:
    """Draws each artefact above what it was made of, with its component; the files come last.

    Args:
      lineage: of a version.

    Returns:
      The figure.
    """
    boxes = _boxes(lineage)
    places = _places(boxes)
    widest = max(x for x, _ in places.values()) + 1
    lowest = min(y for _, y in places.values())
    size = _BOX_INCHES * widest, _ROW_INCHES * (1.5 - lowest)
    figure = Figure(figsize=size, dpi=120, layout="constrained")
    axes = figure.subplots()
    axes.set_axis_off()
    axes.set_xlim(-0.5, widest - 0.5)
    axes.set_ylim(lowest - 0.5, 0.5)
    axes.set_title(f"version {lineage.version}", fontsize=10)
    drawn = {name: _draw(axes, places[name], box) for name, box in boxes.items()}
    for name, box in boxes.items():
        for part in box.of:
            ends = {"patchA": drawn[part].get_bbox_patch(), "patchB": drawn[name].get_bbox_patch()}
            arrow = {"arrowstyle": "-|>", "color": _LINE, "shrinkA": 0, "shrinkB": 0, **ends}
            # After the boxes, whose edges it ends at.
            axes.annotate("", places[name], places[part], arrowprops=arrow, zorder=4)
    return figure


def _draw(axes: Axes, place: tuple[float, float], box: _Box) -> Text:
    frame = {"boxstyle": "round,pad=0.4", "facecolor": box.colour, "edgecolor": _LINE}
    return axes.text(*place, box.text, ha="center", va="center", fontsize=8, bbox=frame)


def _boxes(lineage: Lineage) -> dict[str, _Box]:
    """Name -> box, each before those it was made of."""
    boxes: dict[str, _Box] = {}
    files: dict[str, _Box] = {}
    for number, made in lineage.made.items():
        sources = {f"{number} {source.name}": source for source in made.sources}
        files |= {name: _Box(_describe(source), _SOURCE) for name, source in sources.items()}
        boxes[str(number)] = _Box(_label(made), _MADE, (*map(str, made.of), *sources))
    return boxes | files


def _label(made: Made) -> str:
    return f"{made.artifact.name}\n{made.by.name}, {made.by.seconds:.0f} s"


def _describe(source: SourceRecord) -> str:
    rows = "" if source.rows is None else f", {source.rows:,} rows"
    return f"{source.name}{rows}\n{source.fingerprint[:12]}"


def _places(boxes: Mapping[str, _Box]) -> dict[str, tuple[float, float]]:
    """Each box a row below the lowest that was made of it, about below those, in box widths."""
    rows = dict.fromkeys(boxes, 0)
    above: dict[str, list[str]] = {name: [] for name in boxes}
    for name, box in boxes.items():
        for part in box.of:
            rows[part] = max(rows[part], rows[name] + 1)
            above[part].append(name)
    levels = [
        [name for name in boxes if rows[name] == row] for row in range(max(rows.values()) + 1)
    ]
    widest = max(map(len, levels))
    places: dict[str, tuple[float, float]] = {}
    for row, level in enumerate(levels):
        middle = {
            name: sum(places[one][0] for one in above[name]) / max(len(above[name]), 1)
            for name in level
        }
        for order, name in enumerate(sorted(level, key=lambda name: middle[name])):
            places[name] = (order + (widest - len(level)) / 2, -row)
    return places
