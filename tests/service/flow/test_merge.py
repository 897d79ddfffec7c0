import numpy as np
import pytest

from tfrec.service.flow.merge import fuse
from tfrec.service.flow.plan import KINDS
from tfrec.service.flow.state import NOTHING, Found

NUMBERS = {kind: number for number, kind in enumerate(KINDS)}
EVEN = {"retrieval": 1.0, "popular": 1.0}


def rows(*values: int) -> Found:
    return Found(np.array(values, np.int64))


def test_what_several_sources_find_comes_before_what_one_finds() -> None:
    found = fuse({"retrieval": rows(7, 8, 9), "popular": rows(9, 5)}, EVEN, NUMBERS)

    assert found.rows.tolist() == [9, 7, 8, 5]
    np.testing.assert_allclose(found.scores, [1 / 61 + 1 / 63, 1 / 61, 1 / 62, 1 / 62])


def test_the_first_source_that_finds_an_item_is_its_source() -> None:
    found = fuse({"retrieval": rows(7, 9), "popular": rows(9, 5)}, EVEN, NUMBERS)

    kinds = {row: KINDS[kind] for row, kind in zip(found.rows, found.sources, strict=True)}
    assert kinds == {9: "retrieval", 7: "retrieval", 5: "popular"}


def test_weights_decide_whose_ranks_count() -> None:
    weights = {"retrieval": 1.0, "popular": 3.0}

    found = fuse({"retrieval": rows(1, 2), "popular": rows(3, 4)}, weights, NUMBERS)

    assert found.rows.tolist() == [3, 4, 1, 2]


def test_subjects_and_columns_stay_with_their_items() -> None:
    one = Found(np.array([1, 2]), np.array([10, 20]))
    coupons = np.array(["a", "b"], object)
    other = Found(np.array([2, 3]), None, {"coupon": coupons, "uplift": np.array([0.5, 0.25])})

    found = fuse({"retrieval": one, "popular": other}, EVEN, NUMBERS)

    told = {
        row: (subject, coupon)
        for row, subject, coupon in zip(
            found.rows, found.subjects, found.columns["coupon"], strict=True
        )
    }
    assert told == {1: (10, None), 2: (20, None), 3: (-1, "b")}
    assert np.nansum(found.columns["uplift"]) == pytest.approx(0.25)


def test_nothing_makes_nothing() -> None:
    assert len(fuse({"retrieval": Found(NOTHING)}, EVEN, NUMBERS)) == 0
    assert len(fuse({}, EVEN, NUMBERS)) == 0
