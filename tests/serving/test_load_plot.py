from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from tfrec.errors import UserError
from tfrec.serving.load_plot import check_plot_file, draw_load, write_load_plot
from tfrec.serving.load_test import LoadResult

TITLE = "shop.recommend <fast>"


@pytest.fixture
def result() -> LoadResult:
    """A thousand requests of 1 to 1000 ms, every hundredth of them an error."""
    due = (np.arange(1000) + 0.5) / 100
    latencies = np.random.default_rng(0).permutation(1000) / 1000 + 0.001
    codes = np.where(np.arange(1000) % 100 == 7, "INTERNAL", "OK")
    return LoadResult(due, due, due + latencies, codes, 10.0)


def test_percentiles_are_those_of_the_requests(result: LoadResult) -> None:
    axes, _ = draw_load(result, TITLE).axes

    (line,) = axes.lines
    at, latencies = line.get_data()
    for percentile in (50, 90, 99):
        drawn = latencies[np.flatnonzero(at <= 100 / (100 - percentile) + 1e-9)[-1]]
        assert drawn == pytest.approx(10 * percentile, abs=1.01)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0", "50", "90", "99", "99.9"]


def test_errors_and_the_slowest_are_drawn_over_time(result: LoadResult) -> None:
    _, axes = draw_load(result, TITLE).axes

    drawn = {line.get_label(): line.get_data() for line in axes.lines}
    assert len(drawn["OK"][0]) == 990
    np.testing.assert_allclose(drawn["error"][0], np.arange(10) + 0.075)
    np.testing.assert_allclose(
        drawn["slowest"][1], result.milliseconds.reshape(100, 10).max(axis=1)
    )


def test_one_request_can_be_drawn() -> None:
    zero = np.zeros(1)

    assert draw_load(LoadResult(zero, zero, zero + 1, np.array(["OK"]), 2.0), TITLE).axes


def test_files_are_whole(result: LoadResult, tmp_path: Path) -> None:
    for name in ("load.svg", "load.html"):
        check_plot_file(tmp_path / name)
        write_load_plot(result, TITLE, tmp_path / name)

    assert ElementTree.parse(tmp_path / "load.svg").getroot().tag.endswith("svg")
    page = (tmp_path / "load.html").read_text()
    assert page.startswith("<!doctype html>")
    assert "<title>shop.recommend &lt;fast&gt;</title>" in page
    assert page.rstrip().endswith("</svg>")


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"load\.gif is neither \.svg nor \.html; name one"):
        check_plot_file(tmp_path / "load.gif")
    with pytest.raises(UserError, match="none is no directory; make it first"):
        check_plot_file(tmp_path / "none" / "load.svg")
