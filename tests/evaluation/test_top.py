from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest

from tfrec.evaluation import pieces
from tfrec.evaluation.top import top, without_number


@pytest.fixture(params=[1 << 10, 4 << 20])
def _piece_bytes(request: pytest.FixtureRequest) -> Iterator[None]:
    """A few rows at a time, and all of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "_PIECE_BYTES", request.param)
        yield


@pytest.mark.usefixtures("_piece_bytes")
@pytest.mark.parametrize("items", [50, 5000, 5003])
@pytest.mark.parametrize("k", [1, 10, 50])
def test_best_places_are_found_best_first(items: int, k: int) -> None:
    scores = np.random.default_rng(0).normal(size=(20, items)).astype(np.float32)

    found = top(scores, k, np.arange(20), seed=0)

    np.testing.assert_array_equal(found, np.argsort(-scores, axis=1)[:, :k])


@pytest.mark.usefixtures("_piece_bytes")
@pytest.mark.parametrize("items", [40, 5003])
@pytest.mark.parametrize("levels", [1, 3, 400])
def test_lists_with_ties_hold_the_best_scores_once_each(items: int, levels: int) -> None:
    random = np.random.default_rng(0)
    scores = random.integers(levels, size=(30, items)).astype(np.float32)
    scores[random.random(scores.shape) < 0.3] = -np.inf

    found = top(scores, 20, np.arange(30), seed=0)

    expected = -np.sort(-scores, axis=1)[:, :20]
    np.testing.assert_array_equal(np.take_along_axis(scores, found, axis=1), expected)
    assert all(len(set(row)) == 20 for row in found.tolist())


def test_items_that_are_never_recommended_leave_places_empty() -> None:
    scores = np.array([[-np.inf, 1, -np.inf, 2], [-np.inf] * 4])

    assert top(scores, 3, np.arange(2), seed=0).tolist() == [[3, 1, -1], [-1, -1, -1]]


@pytest.mark.parametrize(("items", "k"), [(10, 3), (5000, 3), (10, 10)])
def test_each_of_the_equals_is_as_likely_to_get_in_at_each_place(items: int, k: int) -> None:
    """Whatever its row, and beside an item that is better."""
    shoppers = 20_000
    scores = np.full([shoppers, items], 1, np.float32)
    scores[:, 4] = 2
    tied = [0, 1, 4, 7, items - 1]
    scores[:, [item for item in range(items) if item not in tied]] = 0 if k < 4 else 1

    found = top(scores, k, np.arange(shoppers), seed=0)

    assert (found[:, 0] == 4).all()
    equals = 4 if k < 4 else items - 1
    for place in range(1, k):
        counts = Counter(found[:, place].tolist())
        assert len(counts) == equals
        expected = shoppers / equals
        assert all(abs(count - expected) < 5 * expected**0.5 for count in counts.values())


@pytest.mark.parametrize("items", [3, 5000])
def test_a_tie_of_the_last_place_with_an_item_left_out_is_drawn(items: int) -> None:
    scores = np.zeros([4000, items], np.float32)
    scores[:, [0, 1, items - 1]] = 3, 2, 2

    found = top(scores, 2, np.arange(4000), seed=0)

    assert (found[:, 0] == 0).all()
    assert (found[:, 1] == 1).mean() == pytest.approx(0.5, abs=0.03)
    assert set(found[:, 1].tolist()) == {1, items - 1}


def test_order_of_equals_follows_seed_and_shopper_however_they_are_batched() -> None:
    scores = np.zeros([60, 200], np.float32)
    shoppers = np.arange(60)

    whole = top(scores, 5, shoppers, seed=3)
    parts = [top(scores[:7], 5, shoppers[start : start + 7], seed=3) for start in range(0, 56, 7)]

    np.testing.assert_array_equal(np.concatenate(parts), whole[:56])
    assert (top(scores, 5, shoppers, seed=4) != whole).mean() > 0.9
    assert len(np.unique(whole, axis=0)) == 60


def test_two_rankers_order_the_items_that_both_score_alike_in_the_same_way() -> None:
    first = np.zeros([50, 30], np.float32)
    second = first.copy()
    second[:, 20:] = -1  # the others tie as before

    found = top(first, 30, np.arange(50), seed=0), top(second, 30, np.arange(50), seed=0)

    shared = [[[item for item in row if item < 20] for row in lists.tolist()] for lists in found]
    assert shared[0] == shared[1]


@pytest.mark.usefixtures("_piece_bytes")
def test_rows_with_a_nan_are_found() -> None:
    scores = np.zeros([9, 700], np.float32)
    scores[2] = -np.inf
    scores[5, 699] = scores[7, 0] = np.nan
    scores[7, 3] = np.inf

    assert without_number(scores).tolist() == [5, 7]
