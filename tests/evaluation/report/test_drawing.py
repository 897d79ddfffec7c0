from xml.etree import ElementTree

import numpy as np
import pytest

from tfrec.evaluation.report.deciles import Deciles
from tfrec.evaluation.report.drawing import draw_curve, draw_deciles, draw_index, draw_reliability
from tfrec.evaluation.report.index_choice import IndexChoice
from tfrec.evaluation.report.reliability import Reliability
from tfrec.retrieval.config import Promise
from tfrec.retrieval.tuning import Measurement

pytestmark = pytest.mark.filterwarnings("error:.*:UserWarning")
BINS = np.array([0.1, 0.5])
NONE = np.full(10, np.nan)
ONE = Measurement("partitioned", 100, "", 3, 1.2, 0.9, 0.5, 0.1, 12.0)
ANOTHER = ONE._replace(recall=0.97, milliseconds=20.0)

PLOTS = {
    "curve": lambda: draw_curve([1, 2, 10], {"model": np.array([0.1, 0.2, 0.3])}, "recall"),
    "curve of one length": lambda: draw_curve([1], {"model": np.array([0.1])}, "recall"),
    "curve of nothing": lambda: draw_curve([1, 2], {"model": np.zeros(2)}, "recall"),
    "deciles": lambda: draw_deciles(Deciles(np.arange(50)), {"a": BINS.repeat(5)}, "deciles"),
    "deciles without a figure": lambda: draw_deciles(Deciles(np.arange(9)), {"a": NONE}, "none"),
    "reliability": lambda: draw_reliability(Reliability(BINS, BINS, np.array([3, 4])), "click"),
    "reliability of one bin": lambda: draw_reliability(
        Reliability(np.zeros(1), np.zeros(1), np.ones(1, int)), "click"
    ),
    "index": lambda: draw_index(IndexChoice(Promise(), 5000, 9, ANOTHER, (ONE, ANOTHER)), "index"),
    "index of one kind": lambda: draw_index(IndexChoice(Promise(), 50, 9, ONE, (ONE,)), "index"),
}


@pytest.mark.parametrize("name", PLOTS)
def test_plot_is_an_element_in_the_colours_of_the_page(name: str) -> None:
    svg = str(PLOTS[name]())

    root = ElementTree.fromstring(svg)
    assert root.tag == "svg"
    assert root.attrib["aria-label"]
    assert "://" not in svg
    assert "#fe" not in svg
    assert list(root.iter("path"))


def test_every_ranker_has_a_line_of_its_own_colour() -> None:
    rankers = {name: np.array([0.1, 0.2]) for name in "abcdef"}

    svg = str(draw_curve([1, 10], rankers, "recall"))

    assert all(f"var(--series-{number})" in svg for number in range(1, 7))


def test_front_is_joined_and_what_is_beaten_is_not() -> None:
    beaten = ONE._replace(recall=0.5, milliseconds=30.0)
    measured = (beaten, ANOTHER, ONE)

    svg = ElementTree.fromstring(
        str(draw_index(IndexChoice(Promise(), 5000, 9, ANOTHER, measured), "index"))
    )

    lines = [path for path in svg.iter("path") if "stroke: var(--accent)" in path.get("style", "")]
    joined = [path.attrib["d"] for path in lines if path.get("clip-path")]
    assert [d.count("L") for d in joined] == [1]
    dots = [use for use in svg.iter("use") if "fill: var(--muted)" in use.get("style", "")]
    assert len(dots) == len(measured)
