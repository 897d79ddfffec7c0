import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet
import pytest

from tfrec.config import validate
from tfrec.data.config import DataConfig
from tfrec.data.events import USER, event_files
from tfrec.data.prepared import PreparedData
from tfrec.data.report import write_report
from tfrec.data.report.gathering import Figures
from tfrec.data.report.page import render
from tfrec.features import FeatureSpec

SECTIONS = ["read", "time", "popularity", "shoppers", "features", "split", "drift"]
WITHOUT_END = {"meta", "br"}
MEGABYTE = 1_000_000


class Page(HTMLParser):
    """A page taken apart; wrong nesting is an error."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in WITHOUT_END:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def attributes(self, name: str) -> list[str]:
        return [value for _, attributes in self.tags if (value := attributes.get(name))]


@pytest.fixture(scope="module")
def page(figures: Figures) -> Page:
    return Page(render(figures))


@pytest.fixture(scope="module")
def odd_page(odd_figures: Figures) -> Page:
    return Page(render(odd_figures))


@pytest.mark.parametrize("name", ["page", "odd_page"])
def test_page_is_whole_and_loads_nothing(name: str, request: pytest.FixtureRequest) -> None:
    page = request.getfixturevalue(name)

    tags = {tag for tag, _ in page.tags}
    assert not tags & {
        "script",
        "img",
        "link",
        "iframe",
        "object",
        "embed",
        "base",
        "image",
        "b_buy",
    }
    assert not [key for _, attributes in page.tags for key in attributes if key.startswith("on")]
    assert all(link.startswith("#") for link in page.attributes("href"))
    values = [value or "" for _, attributes in page.tags for value in attributes.values()]
    assert all(
        url.startswith("#") for value in values for url in re.findall(r"url\((.*?)\)", value)
    )
    assert [name for name in page.attributes("id") if name in SECTIONS] == SECTIONS
    assert len(page.attributes("id")) == len(set(page.attributes("id")))


def test_every_plot_is_there_and_says_what_it_shows(page: Page, figures: Figures) -> None:
    plots = [attributes for tag, attributes in page.tags if tag == "svg"]
    measured = [one for one in figures.features if hasattr(one.values, "edges")]

    assert len(plots) == 2 + 4 + len(measured)
    assert all(plot["aria-label"] for plot in plots)


def test_figures_are_written_with_separators_and_units(page: Page, figures: Figures) -> None:
    assert f"{figures.parts.events:,} events" in page.text
    assert "events 6,000 rows read" in page.text
    assert "rejected missing user 2 < 0.1 %" in page.text
    assert "rejected item not in the catalogue 3" in page.text
    assert "events.parquet:11" in page.text
    assert "By time: test is the last 7 days, validation the 7 days before." in page.text


def test_what_the_shop_says_is_escaped(odd_page: Page) -> None:
    from_shop = "<script>alert('$x_1$')</script>"

    assert from_shop in odd_page.text
    assert "<b>buy</b>" in odd_page.text
    assert "<img src=http://elsewhere.example/x onerror=alert(1)>" in odd_page.text


def test_split_without_borders_says_so(odd_page: Page) -> None:
    assert "The split is not by time" in odd_page.text
    assert "By shopper: 20.0 % for validation" in odd_page.text
    assert " shown " in odd_page.text


def test_report_is_written_whole_and_small(
    prepared: PreparedData, data_config: DataConfig, spec: FeatureSpec, tmp_path: Path
) -> None:
    told: list[tuple[str, int, int]] = []
    output = tmp_path / "new" / "report.html"

    write_report(prepared, data_config, spec, {}, output, lambda *step: told.append(step))

    assert output.read_text().startswith("<!DOCTYPE html>")
    assert output.stat().st_size < MEGABYTE
    assert list(output.parent.iterdir()) == [output]
    assert ("reading events", 2, 2) in told


def test_data_of_one_shopper_make_a_page(
    prepared: PreparedData, spec: FeatureSpec, data_config: DataConfig, tmp_path: Path
) -> None:
    alone = PreparedData(tmp_path / "alone")
    shutil.copytree(prepared.path, alone.path)
    first, *others = event_files(alone.events)
    for other in others:
        other.unlink()
    events = pa.parquet.read_table(first)
    mine = events.filter(pc.equal(events[USER], events[USER][0]))
    pa.parquet.write_table(mine, first)
    config = validate(DataConfig, {**data_config.model_dump(), "split": {"kind": "leave_last_out"}})

    write_report(alone, config, spec, {}, tmp_path / "report.html")

    page = Page((tmp_path / "report.html").read_text())
    assert f"{len(mine):,} events 1 shoppers" in page.text
    assert "nan" not in page.text.lower()
