from typing import Any

import pytest

from tfrec.config import validate
from tfrec.data.config import DataConfig
from tfrec.errors import UserError

LOG = {"source": "e", "user": "u", "item": "i", "time": "t"}
MINIMUM: dict[str, Any] = {
    "events": LOG, "items": {"source": "c", "id": "i"}, "split": {"kind": "leave_last_out"}
}  # fmt: skip


def config(**changes: Any) -> DataConfig:
    return validate(DataConfig, {**MINIMUM, **changes}, "data")


def refusal(**changes: Any) -> str:
    with pytest.raises(UserError) as caught:
        config(**changes)
    return str(caught.value)


def test_one_log_or_several_name_the_ids() -> None:
    other = {**LOG, "user": "visitor", "item": "product"}

    assert (config().user, config().item) == ("u", "i")
    several = config(events=[other, LOG])
    assert (several.user, several.item) == ("visitor", "product")
    assert [log.user for log in several.events] == ["visitor", "u"]


def test_defaults_leave_nothing_out_but_duplicates() -> None:
    clean = config().clean

    assert (clean.duplicates, clean.after, clean.before, clean.robots) == ("drop", None, None, None)
    assert (clean.min_user_events, clean.min_item_events, clean.k_core) == (1, 1, False)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"events": []}, "data.events: []: "),
        ({"events": {**LOG, "unit": "minutes"}}, "data.events.unit: 'minutes': "),
        ({"events": {**LOG, "weights": {"view": -1}}}, "data.events.weights.view: -1: "),
        ({"events": [LOG, {**LOG, "usr": "x"}]}, "data.events.1.usr: unknown key; known here: "),
        ({"split": {"kind": "weekly"}}, "data.split.kind: 'weekly': unknown; known: time, "),
        ({"split": {"kind": "random", "test": 1.5}}, "data.split.test: 1.5: "),
        ({"split": {"kind": "files"}}, "data.split.test: missing"),
        ({"promotions": {"source": "p", "item": "i"}}, "data.promotions: give start and end, or"),
        (
            {"promotions": {"source": "p", "item": "i", "start": "from"}},
            "data.promotions: start and end go together; name both columns",
        ),
        ({"labels": {"kind": "clicks"}}, "data.labels.kind: 'clicks': unknown; known: "),
        ({"clean": {"robots": {"events": 0, "within": "1m"}}}, "data.clean.robots.events: 0: "),
        ({"pairs": {"max_group": 1}}, "data.pairs.max_group: 1: "),
        ({"max_reject_share": 2}, "data.max_reject_share: 2: "),
        ({"shards": 0}, "data.shards: 0: "),
    ],
)
def test_mistake_is_named_with_its_field(changes: dict[str, Any], message: str) -> None:
    assert refusal(**changes).startswith(message)
