from xml.etree import ElementTree

import numpy as np
import pytest

from tfrec.data.report.drawing import (
    draw_activity,
    draw_histogram,
    draw_lengths,
    draw_popularity,
)

pytestmark = pytest.mark.filterwarnings("error:.*:UserWarning")
HOUR, START = 3600, 1_600_000_000

PLOTS = {
    "activity": lambda: draw_activity(
        START + HOUR * np.arange(4), [np.array([1, 0, 3])], {"test": START + HOUR}, "hour"
    ),
    "activity of one hour": lambda: draw_activity(
        START + HOUR * np.arange(2), [np.array([5])], {}, "hour"
    ),
    "activity of types far apart": lambda: draw_activity(
        START + HOUR * np.arange(3), [np.array([5000, 1]), np.array([0, 1])], {}, "hour"
    ),
    "popularity": lambda: draw_popularity(np.array([90, 5, 1])),
    "popularity of one item": lambda: draw_popularity(np.array([1])),
    "short lengths": lambda: draw_lengths(np.array([0, 4, 2]), "events", "shoppers"),
    "long lengths": lambda: draw_lengths(np.r_[0, np.ones(5000, int)], "events", "shoppers"),
    "one length": lambda: draw_lengths(np.array([0, 1]), "events", "shoppers"),
    "histogram": lambda: draw_histogram(
        np.linspace(0, 1, 4), np.array([[0.5, 0.5, 0]] * 3), "price", False
    ),
    "histogram of one bin": lambda: draw_histogram(
        np.array([6.5, 7.5]), np.array([[1.0], [np.nan], [1.0]]), "price", False
    ),
    "histogram of no number": lambda: draw_histogram(
        np.array([0.0, 1.0]), np.full((3, 1), np.nan), "price", False
    ),
    "histogram of moments": lambda: draw_histogram(
        START + HOUR * np.arange(3.0), np.array([[0.5, 0.5]] * 3), "at", True
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PLOTS)
def test_plot_is_an_element_in_the_colours_of_the_page(name: str) -> None:
    svg = str(PLOTS[name]())

    root = ElementTree.fromstring(svg)
    assert root.tag == "svg"
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-label"]
    assert "://" not in svg
    assert "#fe" not in svg
    assert "var(--" in svg
    assert list(root.iter("path"))


def test_text_stays_text() -> None:
    texts = {element.text for element in ElementTree.fromstring(PLOTS["activity"]()).iter("text")}

    assert {"test", "events per hour"} <= texts


def test_ids_of_two_plots_differ() -> None:
    def ids(name: str) -> set[str]:
        return {
            element.attrib["id"]
            for element in ElementTree.fromstring(PLOTS[name]()).iter()
            if "id" in element.attrib
        }

    assert ids("histogram")
    assert not ids("histogram") & ids("histogram of moments")


def test_every_length_is_in_a_bar() -> None:
    counts = np.bincount([1, 2, 3, 31, 32, 33, 64, 64])

    heights = _bar_tops(str(draw_lengths(counts, "events", "shoppers")))

    assert len(heights) == 7  # from 1, 2, 4, 8, 16, 32 and 64 on
    present = [height > 0 for height in heights]
    assert present == [True, True, False, False, True, True, True]


def _bar_tops(svg: str) -> list[float]:
    """Heights of the bars, in pixels."""
    bars = [
        path.attrib["d"].split()
        for path in ElementTree.fromstring(svg).iter("path")
        if "fill: var(--accent)" in path.attrib.get("style", "")
    ]
    return [
        max(ys) - min(ys)
        for ys in ([float(bar[place + 2]) for place in range(0, 12, 3)] for bar in bars)
    ]
