from typing import Any

import pytest

from tfrec.config import validate
from tfrec.errors import UserError
from tfrec.service.flow.config import STEPS, FlowConfig


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"steps": ["sources", "merge"]}, "steps: .* the first have to be gather, sources, merge"),
        ({"steps": [*STEPS, "rank"]}, "a step is there twice"),
        ({"steps": [*STEPS[:3], "explain", "rank"]}, "explain has to be the last"),
        ({"steps": ["gather", "sources", "merge", "sort"]}, "steps"),
        ({"value": "click +"}, r"value: 'click \+': no arithmetic; write e.g."),
        ({"value": "open('x')"}, "value: .* is no arithmetic; there are"),
        ({"scenarios": {"house": {}}}, "scenarios"),
        ({"scenarios": {"home": {"sources": []}}}, "scenarios.home.sources"),
        (
            {"scenarios": {"home": {"sources": [{"kind": "popular"}, {"kind": "popular"}]}}},
            "scenarios.home: sources: a kind is there twice",
        ),
        ({"scenarios": {"home": {"sources": [{"kind": "magic"}]}}}, "magic"),
        ({"rank": {"candidates": 0}}, "rank.candidates: 0"),
        ({"rerank": {"caps": {"aisle": 0}}}, "rerank.caps"),
        ({"rerank": {"pins": {0: "a"}}}, "rerank.pins"),
        ({"half_life": "3x"}, "half_life: '3x': not a duration"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_by_its_field(content: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        validate(FlowConfig, content)


def test_a_shelf_that_is_not_named_is_as_it_is_by_default() -> None:
    config = validate(FlowConfig, {"scenarios": {"home": {"sources": [{"kind": "popular"}]}}})

    assert [one.kind for one in config.scenario("home").sources] == ["popular"]
    assert config.scenario("reorder") == FlowConfig().scenario("reorder")


def test_steps_may_be_left_out_and_reordered() -> None:
    steps = ("gather", "sources", "merge", "rank", "filter", "value")

    assert validate(FlowConfig, {"steps": steps}).steps == steps
