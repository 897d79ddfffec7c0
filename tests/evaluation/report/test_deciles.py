import numpy as np
import pytest

from tfrec.evaluation.lists import Lists
from tfrec.evaluation.report.deciles import Deciles, Found, find

COUNTS = np.array([7, 0, 3, 3, 3, 9, 1, 2, 50, 8])


def test_tenths_follow_popularity_and_equals_stay_together() -> None:
    deciles = Deciles(COUNTS)

    below = [int((count > COUNTS).sum()) for count in COUNTS]
    assert deciles.of_item.tolist() == below  # of ten items, each place is a tenth
    assert deciles.least[[0, 3, 9]].tolist() == [0, 3, 50]
    assert (deciles.least[4], deciles.most[4]) == (0, 0)  # nothing is left for it


def test_tenths_of_many_items_have_their_ranges() -> None:
    deciles = Deciles(np.arange(100))

    assert deciles.least.tolist() == list(range(0, 100, 10))
    assert deciles.most.tolist() == list(range(9, 100, 10))


def test_recall_of_a_tenth_is_of_all_shoppers_items_in_it() -> None:
    random = np.random.default_rng(0)
    deciles = Deciles(COUNTS)
    relevant = [set(random.integers(10, size=3).tolist()) for _ in range(20)]
    ranked = np.stack([random.permutation(10)[:6] for _ in relevant]).astype(np.int32)
    ranked[0, 2:] = -1
    hits = np.array([[i in w for i in row] for row, w in zip(ranked, relevant, strict=True)])
    pairs = np.array([(user, item) for user, items in enumerate(relevant) for item in items])

    found = find(Lists(ranked, hits, (pairs[:, 0], pairs[:, 1])), deciles, k=4)

    for tenth in range(10):
        mine = [(user, item) for user, item in pairs if deciles.of_item[item] == tenth]
        assert found.wanted[tenth] == len(mine)
        assert found.hits[tenth] == sum(item in ranked[user, :4] for user, item in mine)


def test_tenth_with_too_few_relevant_items_has_no_figure() -> None:
    found = Found(np.array([1, 2, 0]), np.array([4, 2, 0]))

    assert found.recall(3) == pytest.approx([0.25, np.nan, np.nan], nan_ok=True)
    assert found.recall(0) == pytest.approx([0.25, 1, np.nan], nan_ok=True)
