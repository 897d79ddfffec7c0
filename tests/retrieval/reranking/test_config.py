from typing import Any

import pytest

from tfrec.config import validate
from tfrec.errors import UserError
from tfrec.retrieval.reranking import Rules

CALIBRATE = {"kind": "calibrate", "feature": "aisle", "history": "recent"}


def rules(*steps: dict[str, Any], **others: Any) -> Rules:
    return validate(Rules, {"steps": list(steps), **others}, "reranking")


def test_steps_keep_their_order_and_say_which_history_they_read() -> None:
    read = rules({"kind": "cap", "feature": "brand", "limit": 2}, CALIBRATE)

    assert [step.kind for step in read.steps] == ["cap", "calibrate"]
    assert read.history == "recent"
    assert rules({"kind": "mmr"}).history is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"steps": [{"kind": "shuffle"}]}, "reranking.steps.0.kind: 'shuffle': unknown; known: "),
        ({"steps": [{"kind": "cap", "feature": "brand"}]}, "reranking.steps.0.limit: missing"),
        ({"steps": [{"kind": "mmr", "trade_off": 1.5}]}, "reranking.steps.0.trade_off: 1.5: "),
        ({"steps": [{"kind": "boost", "amounts": {}}]}, "reranking.steps.0.amounts: "),
        (
            {"steps": [{"kind": "boost", "amounts": {"12": float("nan")}}]},
            "reranking.steps.0.amounts.12: nan: ",
        ),
        ({"pinned": {"apple": 0}}, "reranking.pinned.apple: 0: "),
        ({"candidates": 0}, "reranking.candidates: 0: "),
    ],
)
def test_what_cannot_be_is_refused(content: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as error:
        validate(Rules, content, "reranking")

    assert str(error.value).startswith(message)


@pytest.mark.parametrize("earlier", [{"kind": "mmr"}, CALIBRATE])
@pytest.mark.parametrize("later", [{"kind": "boost", "amounts": {"a": 1}}, {"kind": "mmr"}])
def test_step_that_would_undo_another_is_refused(
    earlier: dict[str, Any], later: dict[str, Any]
) -> None:
    with pytest.raises(UserError, match=f"{later['kind']} behind {earlier['kind']} would order"):
        rules(earlier, later)
