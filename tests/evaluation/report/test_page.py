import re
from collections.abc import Callable
from html.parser import HTMLParser

import numpy as np
import pytest

from tfrec.evaluation.report import IndexChoice, render
from tfrec.retrieval.config import Promise
from tfrec.retrieval.tuning import Measurement

HALF_A_MEGABYTE = 500_000
HOSTILE = "<script>alert('$x_1$')</script>"
SECTIONS = [
    "results", "comparisons", "curves", "slices", "popularity", "predictions", "examples", "index",
    "cost", "blessing", "protocol",
]  # fmt: skip
SLOW = Measurement("partitioned", 600, "600 partitions, items in 2", 9, 1.2, 0.991, 3.25, 0.4, 12.5)
FAST = SLOW._replace(probed=4, recall=0.9512, milliseconds=1.5)
BEATEN = SLOW._replace(probed=7, recall=0.9001, milliseconds=2.0)
CHOICE = IndexChoice(Promise(k=20), 5000, 1000, FAST, (BEATEN, FAST, SLOW))


class Page(HTMLParser):
    """A page taken apart but for where words may break; wrong nesting is an error."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._texts: list[str] = []
        self._open: list[str] = []
        self.feed(html.replace("<wbr>", ""))
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag != "meta":
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self._open:
            self._texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self._texts).split())


@pytest.fixture(scope="module")
def page(make_found: Callable) -> Page:
    found = make_found()
    found.gathering.add_predictions("click", np.array([0, 1, 1]), np.array([0.2, 0.7, 0.6]))
    found.summary["predictions"] = {"click": {"examples": 3, "auc": 0.9876}}
    return Page(found.render(CHOICE))


def test_page_is_whole_and_loads_nothing(page: Page) -> None:
    tags = {tag for tag, _ in page.tags}
    assert not tags & {"script", "img", "link", "iframe", "object", "embed", "base", "image"}
    links = [value for _, attributes in page.tags if (value := attributes.get("href"))]
    ids = [value for tag, attributes in page.tags if (value := attributes.get("id"))]
    assert all(link.startswith("#") for link in links)
    assert [name for name in ids if name in SECTIONS] == SECTIONS
    assert len(ids) == len(set(ids))
    assert len([tag for tag, _ in page.tags if tag == "svg"]) == 2 * 3 + 2 + 1 + 1


def test_figures_are_those_of_the_summary(page: Page, found) -> None:
    summary = found.summary
    for ranker, slices in summary["metrics"].items():
        for name in ("all", "new_to_shopper"):
            for metric, (low, high) in summary["intervals"][ranker][name].items():
                assert f"{slices[name][metric]:.4f} {low:.4f}\N{EN DASH}{high:.4f}" in page.text
    for slices in summary["comparisons"].values():
        for figures in (slices["all"]["recall@3"], slices["new_to_shopper"]["mrr"]):
            difference = f"{figures['difference']:+.4f}".replace("-", "\N{MINUS SIGN}")
            assert difference in page.text
            assert f"{figures['p_value']:.3f}" in page.text


def test_slices_have_a_figure_or_are_too_small(page: Page, found) -> None:
    web = found.summary["metrics"]["popularity"]["all/channel=web"]

    assert f"{web['recall@3']:.4f} ±" in page.text
    assert "channel=kiosk 1 too small, fewer than 20" in page.text


def test_names_of_items_appear_and_are_escaped(page: Page, found) -> None:
    for example in found.gathering.examples:
        assert example.shopper in page.text
        assert all(item.name in page.text for item in example.recommended)
    assert f"{HOSTILE} 1" in page.text


def test_cost_predictions_and_verdict_are_told(page: Page) -> None:
    assert "train 1.5 h 3.21 GB" in page.text
    assert "1,234,567 parameters" in page.text
    assert "auc 0.9876" in page.text
    assert f"Not blessed: {HOSTILE}." in page.text


def test_index_is_shown_with_what_was_chosen_and_the_rest_of_the_front(page: Page) -> None:
    assert "first 20 items" in page.text
    assert "on 1,000 held-out queries" in page.text
    chosen = "partitioned, 600 partitions, items in 2 chosen 4 1.2\N{NO-BREAK SPACE}k"
    assert f"{chosen} 0.9512 1.5 12.5".replace("\N{NO-BREAK SPACE}", " ") in page.text
    assert "0.9910 3.25" in page.text
    assert "0.9001" not in page.text


def test_page_without_a_choice_has_no_index(found) -> None:
    assert 'id="index"' not in found.render()
    assert "#index" not in found.render()


def test_sampled_figures_are_marked_wherever_they_are_shown(make_found: Callable) -> None:
    fields = {"candidates": {"sampled": 15}, "seen": "keep"}
    text = Page(make_found(**fields).render()).text

    assert "Evaluation sampled" in text
    assert "sampled_recall@3" in text
    for place in ("all 60 shoppers", "recall@k", "popularity"):
        assert re.search(rf"({place} sampled|sampled {place})", text), place
    assert "ranked among 15 items" in text
    assert "sampled" not in Page(make_found().render()).text


@pytest.mark.parametrize(
    "fields",
    [
        {"metrics": ["coverage", "novelty"], "seen": "keep"},
        {"k": [1], "metrics": ["recall"], "slices": []},
        {"min_users": 1000},
    ],
)
def test_page_holds_for_odd_protocols(make_found: Callable, fields: dict) -> None:
    text = Page(make_found(**fields).render()).text

    assert "nan" not in text.lower()


def test_page_names_its_window_and_is_small(found) -> None:
    summary = {**found.summary, "blessing": {"blessed": True, "because": "", "rules": []}}

    page = render(summary, found.gathering, found.protocol, {}, [], "validation")

    assert "on the validation window" in page
    assert len(page.encode()) < HALF_A_MEGABYTE
