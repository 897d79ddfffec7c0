from collections.abc import Callable
from math import sqrt

import numpy as np
import pytest
from scipy import sparse

from tfrec.config import validate
from tfrec.data.interactions import Interactions
from tfrec.models.closed_form import ItemKNN, item_knn

SIMILARITIES = {
    "cosine": lambda both, i, j, shrinkage: both / (sqrt(i * j) + shrinkage),
    "jaccard": lambda both, i, j, shrinkage: both / (i + j - both + shrinkage),
    "conditional": lambda both, i, _, shrinkage: both / (i + shrinkage),
    "lift": lambda both, i, j, shrinkage: both / (i * j + shrinkage),
}


def fitted(log: Interactions, **settings: object) -> ItemKNN:
    model = ItemKNN(validate(ItemKNN.Settings, settings))
    model.fit(log)
    return model


def plain_similarities(
    baskets: list[set[int]], n_items: int, name: str, shrinkage: float
) -> list[dict[int, float]]:
    """Each item's similarity to every other that is above 0."""
    count = [sum(item in basket for basket in baskets) for item in range(n_items)]
    similar: list[dict[int, float]] = [{} for _ in range(n_items)]
    for i in range(n_items):
        for j in range(n_items):
            both = sum(i in basket and j in basket for basket in baskets)
            if i != j and both:
                similar[i][j] = SIMILARITIES[name](both, count[i], count[j], shrinkage)
    return similar


@pytest.mark.parametrize("shrinkage", [0, 3.5])
@pytest.mark.parametrize("name", SIMILARITIES)
def test_scores_equal_a_plain_recomputation(
    log: Interactions, baskets: list[set[int]], name: str, shrinkage: float
) -> None:
    scores = fitted(log, similarity=name, shrinkage=shrinkage).scores(log.matrix())

    similar = plain_similarities(baskets, log.n_items, name, shrinkage)
    for row, basket in zip(scores, baskets, strict=True):
        expected = [sum(similar[i].get(j, 0) for i in basket) for j in range(log.n_items)]
        np.testing.assert_allclose(row, expected, rtol=1e-5)


def test_an_item_is_scored_by_its_most_similar_neighbours_alone(
    log: Interactions, baskets: list[set[int]]
) -> None:
    model = fitted(log, similarity="conditional", shrinkage=1.7, neighbours=3)

    similar = plain_similarities(baskets, log.n_items, "conditional", 1.7)
    found = sparse.csr_matrix((model.similarities, model.items, model.starts), [log.n_items] * 2)
    for target, kept in enumerate(found.toarray().T):
        towards = {i: similar[i][target] for i in range(log.n_items) if target in similar[i]}
        best = sorted(towards.values(), reverse=True)[:3]
        np.testing.assert_allclose(sorted(kept[kept > 0], reverse=True), best, rtol=1e-5)
        for item in np.flatnonzero(kept):
            assert kept[item] == pytest.approx(towards[item])


def test_an_item_is_no_neighbour_of_itself(log: Interactions) -> None:
    model = fitted(log)

    items = np.repeat(np.arange(log.n_items), np.diff(model.starts))
    assert not (items == model.items).any()


def test_small_blocks_find_the_same(log: Interactions, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = fitted(log, neighbours=4)

    monkeypatch.setattr(item_knn, "_CELLS", 1)

    np.testing.assert_array_equal(
        fitted(log, neighbours=4).scores(log.matrix()), whole.scores(log.matrix())
    )


def test_how_often_a_shopper_chose_an_item_does_not_matter(log: Interactions) -> None:
    model = fitted(log)

    counts, once = log.matrix(weighted=True), log.matrix()

    np.testing.assert_array_equal(model.scores(counts), model.scores(once))


def test_strangers_score_zero(make_log: Callable[..., Interactions]) -> None:
    log = make_log([(0, 0, 1, 0), (0, 1, 1, 0), (1, 2, 1, 0)], n_users=3, n_items=4)

    scores = fitted(log).scores(log.matrix())

    assert scores.tolist() == [[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
