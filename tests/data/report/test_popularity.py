import numpy as np
import pytest

from tfrec.data.report.popularity import Popularity


def test_items_without_an_example_are_counted_apart() -> None:
    popularity = Popularity(np.array([0, 5, 1, 0, 9]))

    assert popularity.counts.tolist() == [9, 5, 1]
    assert popularity.unsold == 2


def test_top_share_is_of_the_items_sold_and_of_one_at_least() -> None:
    popularity = Popularity(np.r_[np.arange(1, 101), 0])

    assert popularity.top_share(0.1) == pytest.approx(sum(range(91, 101)) / 5050)
    assert popularity.top_share(0.001) == pytest.approx(100 / 5050)


@pytest.mark.parametrize("counts", [[4], [3, 3, 3], [1, 2, 10], [1, 1, 1, 97]])
def test_gini_is_half_the_mean_difference_over_the_mean(counts: list[int]) -> None:
    pairs = [abs(one - other) for one in counts for other in counts]
    expected = sum(pairs) / len(pairs) / (2 * sum(counts) / len(counts))

    assert Popularity(np.array(counts)).gini == pytest.approx(expected)
