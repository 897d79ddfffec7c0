from collections.abc import Callable, Sequence

import numpy as np
from scipy import sparse

from tfrec.data.interactions import Interactions
from tfrec.models.closed_form import OwnHistory

COUNTS = [4, 0, 9, 1, 4]


def fitted(counts: Sequence[int], make_log: Callable[..., Interactions]) -> OwnHistory:
    model = OwnHistory()
    events = [(0, item, float(count), 0) for item, count in enumerate(counts)]
    model.fit(make_log(events, n_items=len(counts)))
    return model


def history(*baskets: Sequence[int], n_items: int) -> sparse.csr_matrix:
    counts = [np.bincount(np.array(basket, int), minlength=n_items) for basket in baskets]
    return sparse.csr_matrix(np.array(counts, np.float32))


def ranking(scores: np.ndarray) -> list[int]:
    """Items that are recommended at all, best first."""
    order = np.argsort(-scores, kind="stable")
    return [int(item) for item in order if scores[item] > -np.inf]


def test_what_was_bought_ranks_by_how_often(make_log: Callable[..., Interactions]) -> None:
    scores = fitted(COUNTS, make_log).scores(history([1, 3, 1, 2], [4], n_items=5))

    assert ranking(scores[0]) == [1, 2, 3]
    assert ranking(scores[1]) == [4]


def test_ranking_equals_a_plain_sort_on_random_histories(
    make_log: Callable[..., Interactions],
) -> None:
    random = np.random.default_rng(0)
    counts = random.permutation(30)
    baskets = [random.integers(30, size=size).tolist() for size in random.integers(40, size=50)]

    scores = fitted(counts, make_log).scores(history(*baskets, n_items=30))

    for row, bought in zip(scores, baskets, strict=True):
        expected = sorted(set(bought), key=lambda item: (-bought.count(item), -counts[item]))
        assert ranking(row) == expected


def test_popularity_never_outweighs_one_more_purchase(
    make_log: Callable[..., Interactions],
) -> None:
    many = [0] * 1000 + [1] * 1001

    scores = fitted([10_000_000, 0], make_log).scores(history(many, n_items=2))

    assert ranking(scores[0]) == [1, 0]


def test_items_alike_in_everything_score_alike(make_log: Callable[..., Interactions]) -> None:
    scores = fitted(COUNTS, make_log).scores(history([0, 4, 2], [2], n_items=5))

    assert scores[0, 0] == scores[0, 4] < scores[0, 2]


def test_without_a_history_nothing_is_recommended(make_log: Callable[..., Interactions]) -> None:
    scores = fitted(COUNTS, make_log).scores(history([], [2], [], n_items=5))

    assert [ranking(row) for row in scores] == [[], [2], []]


def test_what_was_bought_lately_counts_more_in_a_fading_history(
    make_log: Callable[..., Interactions],
) -> None:
    log = make_log([(0, 0, 1, 0), (0, 0, 1, 10), (0, 1, 1, 100)], n_users=1, n_items=2)
    model = fitted([9, 1], make_log)

    assert ranking(model.scores(log.matrix(weighted=True))[0]) == [0, 1]
    assert ranking(model.scores(log.decayed(20).matrix(weighted=True))[0]) == [1, 0]
