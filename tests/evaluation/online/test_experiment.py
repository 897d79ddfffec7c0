from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest

from tfrec.errors import UserError
from tfrec.evaluation.online.experiment import (
    BETTER,
    MISMATCH,
    NO_DIFFERENCE,
    TOO_FEW,
    WORSE,
    Readout,
    read_experiment,
)

DAY = 86_400
ARMS = {"control": "old", "split": {"old": 1, "new": 1}}


def shoppers(
    seed: int, rates: Mapping[str, float], users: int = 400, kind: str = "click", days: int = 1
) -> list[list[object]]:
    """Impressions of shoppers of each arm, each of whom clicks more or less than others."""
    random = np.random.default_rng(seed)
    rows: list[list[object]] = []
    for arm, rate in rates.items():
        for number in range(users):
            user, taste = f"{arm}{number}", random.beta(20 * rate, 20 * (1 - rate))
            for day in range(days):
                for time in day * DAY + 10 * np.arange(random.integers(1, 9)):
                    row = [user, f"i{time}", time, "impression", "", "", "", "", arm]
                    rows.append(row)
                    if random.random() < taste:
                        rows.append([*row[:2], time + 1, kind, *row[4:]])
    return rows


@pytest.fixture
def read(log_of: Callable) -> Callable[..., Readout]:
    """Reads a test that was divided by halves."""

    def run(rows: list[list[object]], **changes: object) -> Readout:
        return read_experiment(*log_of(rows, **{"arms": ARMS, "click_within": "5s", **changes}))

    return run


def test_better_arm_is_found_with_its_lift(read: Callable[..., Readout]) -> None:
    readout = read(shoppers(0, {"old": 0.2, "new": 0.3}))

    (clicks,) = (one for one in readout.contrasts if one.metric == "click_through")
    assert (clicks.arm, clicks.verdict) == ("new", BETTER)
    assert clicks.difference.low < 0.1 < clicks.difference.high
    assert clicks.lift.low < 0.5 < clicks.lift.high
    assert clicks.p_value < 0.01
    assert readout.sample_ratio.users == {"old": 400, "new": 400}


def test_control_may_win(read: Callable[..., Readout]) -> None:
    readout = read(shoppers(0, {"old": 0.3, "new": 0.2}), metrics=["click_through"])

    assert [one.verdict for one in readout.contrasts] == [WORSE]


def test_more_hidden_items_are_worse(read: Callable[..., Readout]) -> None:
    readout = read(shoppers(0, {"old": 0.2, "new": 0.3}, kind="hide"), metrics=["hides"])

    assert [one.verdict for one in readout.contrasts] == [WORSE]
    assert readout.contrasts[0].difference.value > 0


def test_arms_that_are_alike_are_told_apart_once_in_twenty(log_of: Callable) -> None:
    log, config = log_of(
        shoppers(0, {"old": 0.2, "new": 0.2}, 100),
        arms=ARMS,
        metrics=["click_through"],
        click_within="5s",
    )
    random = np.random.default_rng(0)

    told = []
    for _ in range(400):
        drawn = replace(log, arms=random.integers(2, size=log.user_count)[log.users])
        (contrast,) = read_experiment(drawn, config).contrasts
        told.append(contrast.verdict != NO_DIFFERENCE)

    assert 0.02 <= np.mean(told) <= 0.08


def test_no_winner_where_the_split_is_not_what_it_should_be(read: Callable[..., Readout]) -> None:
    rows = shoppers(0, {"old": 0.2, "new": 0.4})
    rows = [row for row in rows if not str(row[0]).startswith("new1")]

    readout = read(rows)

    assert readout.sample_ratio.mismatch
    assert {one.verdict for one in readout.contrasts} == {MISMATCH}


def test_shoppers_in_several_arms_or_none_are_left_out(read: Callable[..., Readout]) -> None:
    rows = shoppers(0, {"old": 0.2, "new": 0.2}, 50)
    rows += [["old7", "x", 3, "click", "", "", "", "", "new"]]
    rows += [["nobody", "x", 3, "impression", "", "", "", "", ""]]

    readout = read(rows, metrics=["click_through"])

    assert readout.sample_ratio.users == {"old": 49, "new": 50}
    assert readout.left_out["shoppers in several arms"] == 1
    assert readout.left_out["shoppers in no arm"] == 1


def test_time_before_the_test_makes_intervals_narrower(read: Callable[..., Readout]) -> None:
    rows = shoppers(0, {"old": 0.2, "new": 0.2}, 200, days=40)
    later = {**ARMS, "start": "1970-01-21"}

    plain = read([row for row in rows if row[2] >= 20 * DAY], metrics=["click_through"])
    adjusted = read(rows, metrics=["click_through"], arms=later)

    assert (plain.adjusted, adjusted.adjusted) == ((), ("click_through",))
    errors = [one.contrasts[0].difference.standard_error for one in (plain, adjusted)]
    assert errors[1] < 0.7 * errors[0]


def test_one_shopper_decides_nothing(read: Callable[..., Readout]) -> None:
    readout = read(shoppers(0, {"old": 0.2, "new": 0.5}, 1), metrics=["click_through"])

    assert [one.verdict for one in readout.contrasts] == [TOO_FEW]


@pytest.mark.parametrize(
    ("arms", "message"),
    [
        (None, "^arms: missing"),
        ({"control": "old", "split": {"old": 1, "newer": 1}}, "arms.split: new: in the log too"),
        (
            {"control": "old", "split": {"old": 1, "new": 1, "newer": 1}},
            "arms.split: newer: no shopper of the log is in it",
        ),
        ({"control": "older", "split": {"old": 1, "new": 1}}, "control 'older' is no arm of split"),
        ({**ARMS, "start": "1970-02-01"}, "arms.start: .* no event from then on"),
    ],
)
def test_arms_that_do_not_fit_the_log_are_refused(
    arms: dict | None, message: str, read: Callable[..., Readout]
) -> None:
    with pytest.raises(UserError, match=message):
        read(shoppers(0, {"old": 0.2, "new": 0.2}, 3), arms=arms)


def test_log_without_arms_is_refused(log_of: Callable) -> None:
    with pytest.raises(UserError, match=r"^events\.arm: missing"):
        read_experiment(*log_of([["u", "a", 0, "click"]], arms=ARMS))
