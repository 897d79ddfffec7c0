import numpy as np
import pytest

from tfrec.data.interactions import Interactions


@pytest.fixture
def interactions() -> Interactions:
    return Interactions(
        users=np.array([0, 2, 0, 0]),
        items=np.array([1, 0, 1, 3]),
        weights=np.array([1, 2, 0.5, 1], np.float32),
        times=np.array([100, 90, 80, 100]),
        n_users=3,
        n_items=5,
    )


def test_a_pair_counts_once_or_by_the_weight_of_its_events(interactions: Interactions) -> None:
    once, weighted = interactions.matrix(), interactions.matrix(weighted=True)

    assert once.toarray().tolist() == [[0, 1, 0, 1, 0], [0] * 5, [1, 0, 0, 0, 0]]
    assert weighted.toarray().tolist() == [[0, 1.5, 0, 1, 0], [0] * 5, [2, 0, 0, 0, 0]]
    assert once.dtype == weighted.dtype == np.float32


def test_older_events_fade_by_half_lives(interactions: Interactions) -> None:
    decayed = interactions.decayed(10)

    assert decayed.weights.tolist() == [1, 1, 0.125, 1]
    assert decayed.weights.dtype == np.float32
    assert interactions.weights.tolist() == [1, 2, 0.5, 1]


def test_no_events_make_an_empty_matrix() -> None:
    none = np.zeros(0, np.int64)
    nothing = Interactions(none, none, none.astype(np.float32), none, n_users=2, n_items=3)

    assert len(nothing) == len(nothing.decayed(5)) == 0
    assert nothing.matrix().toarray().tolist() == [[0] * 3] * 2
