"""Plots as SVG to put into a page, in the page's own colours and font."""

import io
import re
from xml.etree import ElementTree

import matplotlib
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, FuncFormatter

WIDE, HALF, SMALL = (1040, 260), (500, 200), (300, 110)
"""Widths and heights in CSS pixels."""

SERIES = tuple(f"series-{number}" for number in range(1, 7))
PART_COLOURS = ("train", "validation", "test")

_COLOURS = ("ink", "muted", "line", "accent", *PART_COLOURS, *SERIES)
STAND_INS = {name: f"#fe{number:02x}fe" for number, name in enumerate(_COLOURS, 1)}
"""Colours that the page replaces by its variables, so that a plot is light or dark as it is."""

STYLE = {
    "figure.constrained_layout.use": True,
    "font.size": 12,
    "text.color": STAND_INS["ink"],
    "text.parse_math": False,
    "axes.edgecolor": STAND_INS["line"],
    "axes.labelcolor": STAND_INS["muted"],
    "axes.labelsize": 12,
    "axes.labelpad": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": STAND_INS["line"],
    "grid.linewidth": 0.8,
    "xtick.color": STAND_INS["line"],
    "ytick.color": STAND_INS["line"],
    "xtick.labelcolor": STAND_INS["muted"],
    "ytick.labelcolor": STAND_INS["muted"],
    "ytick.major.size": 0,
    "svg.fonttype": "none",
}
"""Of `matplotlib.rc_context`, in which a plot is made and drawn on."""

_MILLION = 1e6


def new_plot(size: tuple[int, int]) -> tuple[Figure, Axes]:
    """Makes a plot whose points are CSS pixels."""
    figure = Figure(figsize=(size[0] / 72, size[1] / 72), dpi=72)
    FigureCanvasSVG(figure)
    return figure, figure.subplots()


def thousands(axes: Axes, *names: str) -> None:
    """Separates the thousands of the numbers on the axes `x` or `y`."""
    for name in names:
        axis = getattr(axes, f"{name}axis")
        axis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))


def to_svg(figure: Figure, label: str, salt: str) -> Markup:
    """Writes a plot as an element of the page, without what only files need."""
    file = io.StringIO()
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": salt}):
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    root = ElementTree.fromstring(file.getvalue())
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag.endswith(("}metadata", "}style")):
                parent.remove(child)
    for element in root.iter():
        element.tag = _plain(element.tag)
        element.attrib = {
            _plain(key): value
            for key, value in element.attrib.items()
            if key != "id" or element.tag != "g"
        }
    box = root.attrib["viewBox"]
    root.attrib = {
        "viewBox": box,
        "style": f"max-width: {box.split()[2]}px",
        "role": "img",
        "aria-label": label,
    }
    text = ElementTree.tostring(root, encoding="unicode")
    for name, stand_in in STAND_INS.items():
        text = text.replace(stand_in, f"var(--{name})")
    return Markup(re.sub(r">\s+<", "><", text))


def _short(value: float) -> str:
    """A number with thousands' separators; millions and more as 250M, 1G."""
    return f"{value:,.12g}" if abs(value) < _MILLION else EngFormatter(sep="")(value)


def _plain(name: str) -> str:
    """A tag or an attribute without its namespace, which HTML gives itself."""
    return name.rsplit("}", 1)[-1]
