import pytest
from scipy.stats import chisquare

from tfrec.errors import UserError
from tfrec.evaluation.online.sample_ratio import sample_ratio


def test_chance_is_that_of_the_chi_square_test() -> None:
    users = {"old": 5_100, "new": 4_700, "newer": 2_500}

    found = sample_ratio(users, {"old": 2, "new": 2, "newer": 1})

    assert found.expected == {"old": 4_920, "new": 4_920, "newer": 2_460}
    assert found.p_value == pytest.approx(
        chisquare([5_100, 4_700, 2_500], [4_920, 4_920, 2_460]).pvalue
    )


def test_mismatch_is_more_than_chance() -> None:
    split = {"old": 1, "new": 1}

    assert not sample_ratio({"old": 5_000, "new": 5_100}, split).mismatch
    assert sample_ratio({"old": 5_000, "new": 5_400}, split).mismatch


def test_arm_without_shoppers_is_named() -> None:
    with pytest.raises(UserError, match=r"arms.split: new: no shopper .* in it \(old 9\)"):
        sample_ratio({"old": 9}, {"old": 1, "new": 1})


def test_arm_that_is_not_in_the_split_is_named() -> None:
    with pytest.raises(UserError, match=r"arms.split: newer: in the log too; known here: old, new"):
        sample_ratio({"old": 9, "new": 9, "newer": 1}, {"old": 1, "new": 1})
