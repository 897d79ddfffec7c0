"""The report: one page of HTML that needs nothing else."""

import math
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from pathlib import Path

import jinja2
from markupsafe import Markup

from tfrec.data.config import DataConfig, FileSplit, LastOutSplit, RandomSplit, TimeSplit
from tfrec.data.counts import Counts
from tfrec.data.prepared import PreparedData
from tfrec.data.report.distributions import Distribution, Numbers
from tfrec.data.report.drift import THRESHOLD
from tfrec.data.report.gathering import Figures, gather
from tfrec.data.splits import EXAMPLE_PARTS, TEST, VALIDATION, ByTime
from tfrec.features import FeatureSpec, Numeric

_NONE = "\N{EN DASH}"
_UNITS = {"day": 86_400, "hour": 3600, "minute": 60, "second": 1}


def write_report(
    data: PreparedData,
    config: DataConfig,
    spec: FeatureSpec,
    counts: Mapping[str, Counts],
    output: Path,
    progress: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> None:
    """Writes a page that shows what prepared data hold.

    Args:
      data: the prepared data.
      config: the `data` section they were prepared with.
      spec: their features.
      counts: source -> rows read, rejected and dropped.
      output: file of the page.
      progress: is told what is done, how much of it and of how much.
    """
    page = render(gather(data, config, spec, counts, progress))
    output.parent.mkdir(parents=True, exist_ok=True)
    scratch = output.with_name(f".{output.name}.tmp")
    scratch.write_text(page, encoding="utf-8", errors="backslashreplace")
    scratch.rename(output)


def render(figures: Figures) -> str:
    """Renders the page; what the shop's data say is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["Markup"] = Markup
    environment.filters |= {
        "number": _number,
        "share": _share,
        "quantity": _quantity,
        "moment": _moment,
        "duration": _duration,
    }
    return environment.get_template("page.html").render(
        figures=figures,
        plots=_Plots(figures),
        borders=_borders(figures),
        split=_split(figures.config),
        part_key=[(part, part) for part in EXAMPLE_PARTS],
        compared=(VALIDATION, TEST),
        threshold=THRESHOLD,
    )


class _Plots:
    """The plots, drawn when the page asks for them."""

    def __init__(self, figures: Figures) -> None:
        # Matplotlib takes a second to import; whoever only names this module does not wait for it.
        from tfrec.data.report import drawing

        self._figures, self._drawing = figures, drawing
        self.series_colours, self.part_colours = drawing.SERIES, drawing.PART_COLOURS

    @property
    def activity(self) -> Markup:
        activity = self._figures.activity
        counts = [series.counts for series in activity.series]
        borders = _borders(self._figures)
        return self._drawing.draw_activity(activity.edges, counts, borders, activity.unit)

    @property
    def popularity(self) -> Markup:
        return self._drawing.draw_popularity(self._figures.popularity.counts)

    def lengths(self, name: str, across: str, up: str) -> Markup:
        counts = getattr(self._figures.lengths, name).counts
        return self._drawing.draw_lengths(counts, across, up)

    def histogram(self, distribution: Distribution) -> Markup:
        numbers = distribution.values
        assert isinstance(numbers, Numbers)
        return self._drawing.draw_histogram(
            numbers.edges, numbers.shares, distribution.name, _is_time(distribution)
        )


def _borders(figures: Figures) -> dict[str, int]:
    """The moments that a split by time cuts at."""
    split = figures.split
    return {VALIDATION: split.validation, TEST: split.test} if isinstance(split, ByTime) else {}


def _split(config: DataConfig) -> str:
    """How events were divided, in a sentence."""
    split = config.split
    if isinstance(split, TimeSplit):
        test, validation = _duration(split.test), _duration(split.validation)
        return f"By time: test is the last {test}, validation the {validation} before."
    if isinstance(split, LastOutSplit):
        return "Each shopper's last event is test, the one before validation."
    if isinstance(split, FileSplit):
        return "Validation and test came as files of their own."
    shares = f"{_share(split.validation)} for validation and {_share(split.test)} for test"
    if isinstance(split, RandomSplit):
        return f"By chance: {shares} of each shopper's events."
    shown = f"queries may see the first {_share(split.shown)} of their events"
    return f"By shopper: {shares}; {shown}."


def _number(value: int) -> str:
    return f"{value:,}"


def _share(value: float) -> str:
    """A share in per cent; what is not nothing is not shown as 0."""
    if math.isnan(value):
        return _NONE
    if 0 < value < 0.0005:
        return "<\N{NO-BREAK SPACE}0.1\N{NO-BREAK SPACE}%"
    return f"{100 * value:.{1 if value else 0}f}\N{NO-BREAK SPACE}%"


def _quantity(value: float, is_time: bool = False) -> str:
    """A number as the shop has it, to four digits at least."""
    if math.isnan(value):
        return _NONE
    if is_time:
        return _moment(value)
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _moment(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, timezone.utc):%Y-%m-%d %H:%M}"


def _duration(seconds: int) -> str:
    """A length of time in the largest unit that it is at least one of."""
    unit = next((unit for unit, length in _UNITS.items() if seconds >= length), "second")
    count = round(seconds / _UNITS[unit], 1)
    return f"{count:,g} {unit}{'' if count == 1 else 's'}"


def _is_time(distribution: Distribution) -> bool:
    return isinstance(distribution.feature, Numeric) and distribution.feature.role == "time"
