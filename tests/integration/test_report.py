"""The report in a real browser."""

from pathlib import Path

import pytest
from browser import check_plots, measure_page, needs_browser

from tfrec.data.prepared import PreparedData
from tfrec.stages.artifact import Artifact
from tfrec.stages.report import report


@needs_browser
@pytest.mark.parametrize("width", [1200, 500])
def test_page_shows_every_plot_without_an_error(
    width: int, prepared: PreparedData, tmp_path: Path
) -> None:
    page = report(Artifact(prepared.path), tmp_path / "report.html")

    measured = measure_page(page, width, tmp_path / "profile")

    assert len(measured["plots"]) >= 6
    check_plots(measured)
    assert measured["overflow"] <= 0
