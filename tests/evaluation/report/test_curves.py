import numpy as np
import pytest

from tfrec.evaluation.config import Protocol
from tfrec.evaluation.lists import Lists
from tfrec.evaluation.measures import Items
from tfrec.evaluation.report.curves import curve_kinds, cutoffs, metric_curve

HITS = [[True, False, True], [False, False, False], [False, True, False]]
WANTED = [[0, 0, 0, 2], [5, 6, 7, 8]]  # shopper 1 has nothing to find


def test_curve_is_the_mean_at_each_length() -> None:
    items = np.array([[5, 0, 6], [0, 1, 2], [0, 8, 1]], np.int32)
    lists = Lists(items, np.array(HITS), (np.array(WANTED[0]), np.array(WANTED[1])))

    curve = metric_curve("recall", lists, Items(np.ones(9, int)), [1, 2, 3])

    assert curve.tolist() == pytest.approx([(1 / 3 + 0) / 2, (1 / 3 + 1) / 2, (2 / 3 + 1) / 2])


def test_curve_of_shoppers_with_nothing_to_find_has_no_value() -> None:
    nothing = np.zeros(0, np.int64)
    lists = Lists(np.zeros([2, 3], np.int32), np.zeros([2, 3], bool), (nothing, nothing))

    assert np.isnan(metric_curve("ndcg", lists, Items(np.ones(9, int)), [1, 3])).all()


@pytest.mark.parametrize(
    ("k", "metrics", "expected"),
    [
        ([10, 100], ["recall"], (1, 2, 3, 5, 7, 10, 20, 30, 50, 70, 100)),
        ([4], ["recall", "map@6"], (1, 2, 3, 4, 5, 6)),
        ([1], ["recall"], (1,)),
    ],
)
def test_lengths_end_with_the_longest_list_and_hold_the_measured_ones(
    k: list[int], metrics: list[str], expected: tuple[int, ...]
) -> None:
    assert cutoffs(Protocol(k=k, metrics=metrics)) == expected


def test_curves_are_of_the_metrics_of_what_is_relevant() -> None:
    protocol = Protocol(metrics=["ndcg", "coverage", "recall@5", "recall@20"])

    assert curve_kinds(protocol) == ("ndcg", "recall")
