from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tfrec.config import validate
from tfrec.errors import UserError
from tfrec.evaluation.online.off_policy_config import OffPolicyConfig
from tfrec.evaluation.online.rounds import Rounds, read_rounds

HEADER = ("user", "item", "time", "type", "place", "chance", "wanted")
DAY = 86_400
END = ["last", "z", DAY, "click", "", "", ""]

Read = Callable[..., Rounds]


def shown(user: str, item: str, time: object, place: int = 1, chance: float = 0.5) -> list[object]:
    return [user, item, time, "impression", place, chance, 0.25]


def clicked(user: str, item: str, time: object) -> list[object]:
    return [user, item, time, "click", "", "", ""]


@pytest.fixture
def read(write: Callable[..., str]) -> Read:
    def run(rows: Sequence[Sequence[object]], **reward: Any) -> Rounds:
        credited = {"where": {"type": "click"}, "user": "user", "time": "time", **reward}
        log = {
            "source": write(HEADER, rows), "where": {"type": "impression"}, "action": "item",
            "context": ["place"], "propensity": "chance", "reward": credited,
        }  # fmt: skip
        target = {"kind": "columns", "probability": "wanted"}
        return read_rounds(validate(OffPolicyConfig, {"log": log, "target": target}))

    return run


def test_choice_that_a_click_followed_earns_one(read: Read) -> None:
    rows = [
        shown("u", "a", 100), shown("u", "b", 100, 2), shown("v", "a", 100, chance=0.2),
        clicked("u", "a", 100), clicked("u", "a", 150), clicked("v", "b", 120), END,
    ]  # fmt: skip

    found = read(rows)

    assert found.rewards.tolist() == [1, 0, 0]
    assert found.propensities.tolist() == [0.5, 0.5, 0.2]
    assert found.rejected == {}


def test_click_is_credited_to_the_last_choice_before_it_whatever_the_rows_order(
    read: Read,
) -> None:
    rows = [
        clicked("u", "a", 250), END, shown("u", "a", 300), shown("u", "a", 200),
        clicked("u", "a", 90), shown("u", "a", 100),
    ]  # fmt: skip

    assert read(rows).rewards.tolist() == [0, 1, 0]


def test_click_counts_up_to_the_end_of_its_window(read: Read) -> None:
    rows = [shown("u", "a", 0), clicked("u", "a", 60), shown("v", "a", 0), clicked("v", "a", 61)]

    assert read([*rows, END], within="1m").rewards.tolist() == [1, 0]


def test_choices_too_young_for_a_click_are_left_out(read: Read) -> None:
    rows = [shown("u", "a", 0), shown("u", "b", DAY - 30), clicked("u", "a", 5), END]

    found = read(rows, within="1m")

    assert found.rewards.tolist() == [1]
    assert found.rejected == {"too young for what may follow": 1}


def test_times_may_be_text(read: Read) -> None:
    rows = [
        shown("u", "a", "2026-01-01T10:00:00"), clicked("u", "a", "2026-01-01T10:00:05"),
        clicked("last", "z", "2026-01-02"),
    ]  # fmt: skip

    assert read(rows).rewards.tolist() == [1]


@pytest.mark.parametrize(
    ("rows", "reward", "message"),
    [
        ([shown("u", "a", 0)], {}, "log.reward: .*no row has type = click"),
        ([shown("u", "a", 0), END], {"user": "visitor"}, "log.user: no column 'visitor'"),
        ([shown("u", "a", DAY), END], {}, "log.reward.within: 1800 s: no row is so old"),
        ([shown("u", "a", 0), END], {"where": {}}, "log.reward.where: .*at least 1 item"),
        ([shown("u", "a", 0), END], {"within": "soon"}, "log.reward.within: 'soon': not a dur"),
        ([shown("u", "a", 0), END], {"user": 5}, "log.reward.user: 5: .*valid string"),
    ],
)
def test_rewards_that_cannot_be_found_are_told(
    read: Read, rows: Any, reward: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        read(rows, **reward)
