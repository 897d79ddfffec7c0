from collections.abc import Callable, Sequence

import numpy as np
import pytest

from tfrec.errors import UserError
from tfrec.evaluation.online.interleaving import NO_PREFERENCE, Preference, read_preference

Read = Callable[..., Preference]


@pytest.fixture
def read(log_of: Callable) -> Read:
    """Reads a log of shoppers, each of whom is shown `a` by one team and `b` by the other."""

    def run(clicks: Sequence[str], end: int = 10_000) -> Preference:
        rows = []
        for number, clicked in enumerate(clicks):
            user, moment = f"u{number}", 10 * number
            for item, team in (("a", "old"), ("b", "new")):
                rows.append([user, item, moment, "impression", *[""] * 4, team])
            rows += [
                [user, item, moment + 5 + place, "click", *[""] * 4, ""]
                for place, item in enumerate(clicked)
            ]
        rows.append(["last", "c", end, "look", *[""] * 4, ""])
        return read_preference(*log_of(rows))

    return run


def test_team_whose_items_more_shoppers_click_is_preferred(read: Read) -> None:
    found = read(["b"] * 18 + ["a"] * 2 + ["ab"] * 5 + [""] * 5)

    assert found.verdict == "new"
    assert [tuple(vars(team).values()) for team in found.teams] == [
        ("new", 30, 23, 18),
        ("old", 30, 7, 2),
    ]
    assert found.undecided == 5
    assert found.share == 0.9
    assert found.low < 0.9 < found.high < 1
    assert found.p_value == pytest.approx(2 * (1 + 20 + 190) / 2**20)  # at most 2 of 20 coins


def test_few_shoppers_show_no_preference(read: Read) -> None:
    assert read(["b"] * 5).verdict == NO_PREFERENCE
    assert read(["b"] * 6).verdict == "new"
    nobody = read([""] * 3)
    assert nobody.verdict == NO_PREFERENCE
    assert np.isnan(nobody.share)


def test_shopper_who_clicks_often_counts_once(read: Read) -> None:
    rows = ["a", "a", "a", "b" * 4]

    assert [team.shoppers for team in read(rows).teams] == [1, 3]


def test_impressions_too_young_do_not_count(read: Read) -> None:
    found = read(["b"] * 20, end=1_800 + 95)

    assert found.left_out == {"impressions too young": 20}
    assert found.teams[0].impressions == 10


def test_click_is_credited_to_the_last_shelf_that_showed_the_item(log_of: Callable) -> None:
    rows: list[list[object]] = [
        ["u", "a", 0, "impression", *[""] * 4, "old"],
        ["u", "b", 0, "impression", *[""] * 4, "new"],
        ["u", "a", 10, "impression", *[""] * 4, ""],
        ["u", "a", 20, "click", *[""] * 4, ""],
        ["u", "c", 9_999, "look", *[""] * 4, ""],
    ]

    assert [team.clicks for team in read_preference(*log_of(rows)).teams] == [0, 0]


@pytest.mark.parametrize(
    ("teams", "message"),
    [
        ([""], "events.arm: impressions are of 0 teams: none; name the column"),
        (["x"], "events.arm: impressions are of 1 teams: x;"),
        (["x", "y", "z"], "events.arm: impressions are of 3 teams: x, y, z;"),
    ],
)
def test_other_than_two_teams_are_told(log_of: Callable, teams: list[str], message: str) -> None:
    rows = [["u", "a", 0, "impression", *[""] * 4, team] for team in teams]

    with pytest.raises(UserError, match=message):
        read_preference(*log_of(rows))


def test_log_without_teams_or_too_short_is_told(log_of: Callable) -> None:
    with pytest.raises(UserError, match="of 0 teams"):
        read_preference(*log_of([["u", "a", 0, "impression"]]))
    rows = [["u", "a", n, "impression", *[""] * 4, team] for n, team in enumerate("xy")]
    with pytest.raises(UserError, match="click_within: needs events at least 30 minutes before"):
        read_preference(*log_of(rows))
