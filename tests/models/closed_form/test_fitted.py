from collections.abc import Callable

import numpy as np
import pytest
from scipy import sparse

from tfrec.config import validate
from tfrec.data.interactions import Interactions
from tfrec.data.query_set import QuerySet
from tfrec.errors import UserError
from tfrec.models.closed_form import (
    EASE,
    IALS,
    ClosedForm,
    HistoryRanker,
    ItemKNN,
    OwnHistory,
    Popularity,
)

SETTINGS = {
    Popularity: {"half_life": "1h"},
    OwnHistory: {},
    ItemKNN: {"similarity": "jaccard", "neighbours": 3},
    EASE: {"l2": 2, "most_items": 7},
    IALS: {"dim": 5, "iterations": 2},
}

every_model = pytest.mark.parametrize("kind", SETTINGS)


def make(kind: type[ClosedForm], log: Interactions) -> ClosedForm:
    model = kind(validate(kind.Settings, SETTINGS[kind]))
    model.fit(log)
    return model


@every_model
def test_scores_are_single_floats_for_all_shoppers_and_items_and_never_nan(
    kind: type[ClosedForm], log: Interactions
) -> None:
    scores = make(kind, log).scores(log.matrix())

    assert scores.shape == (log.n_users, log.n_items)
    assert scores.dtype == np.float32
    assert not np.isnan(scores).any()


@every_model
def test_a_shopper_is_scored_alike_alone_and_among_others(
    kind: type[ClosedForm], log: Interactions
) -> None:
    model = make(kind, log)

    together = model.scores(log.matrix())

    for user in (0, 7, log.n_users - 1):
        alone = model.scores(log.matrix()[[user]])
        np.testing.assert_allclose(alone[0], together[user], rtol=1e-4, atol=1e-6)


@every_model
def test_the_order_of_events_and_the_numbers_of_shoppers_do_not_matter(
    kind: type[ClosedForm], log: Interactions
) -> None:
    random = np.random.default_rng(1)
    order, numbers = random.permutation(len(log)), random.permutation(log.n_users)
    shuffled = Interactions(
        users=numbers[log.users[order]],
        items=log.items[order],
        weights=log.weights[order],
        times=log.times[order],
        n_users=log.n_users,
        n_items=log.n_items,
    )

    scores = make(kind, shuffled).scores(log.matrix())

    np.testing.assert_allclose(scores, make(kind, log).scores(log.matrix()), rtol=1e-3, atol=1e-5)


@every_model
def test_an_empty_log_recommends_nothing_above_anything(
    kind: type[ClosedForm], make_log: Callable[..., Interactions]
) -> None:
    nothing = make_log([])

    scores = make(kind, nothing).scores(nothing.matrix())

    assert len(np.unique(scores)) == 1


@every_model
def test_no_shoppers_get_no_scores(kind: type[ClosedForm], log: Interactions) -> None:
    nobody = sparse.csr_matrix((0, log.n_items), dtype=np.float32)

    assert make(kind, log).scores(nobody).shape == (0, log.n_items)


@every_model
def test_queries_are_scored_by_what_they_saw(
    kind: type[ClosedForm], log: Interactions, make_queries: Callable[..., QuerySet]
) -> None:
    model = make(kind, log)
    queries = make_queries(relevant=[[0], [1]], seen=[[3, 5, 3], []])
    histories = sparse.csr_matrix(([2, 1], ([0, 0], [3, 5])), (2, log.n_items), np.float32)

    scores = HistoryRanker(model, log.n_items).scores(queries)

    np.testing.assert_array_equal(scores, model.scores(histories))


@pytest.mark.parametrize(
    ("kind", "key", "value"),
    [
        (Popularity, "half_life", "soon"),
        (ItemKNN, "similarity", "pearson"),
        (ItemKNN, "neighbours", 0),
        (ItemKNN, "shrinkage", -1),
        (EASE, "l2", 0),
        (EASE, "most_items", 0),
        (IALS, "unobserved_weight", 0),
        (IALS, "l2", 0),
        (IALS, "lambda", 1),
    ],
)
def test_settings_that_cannot_be_are_refused_by_name(
    kind: type[ClosedForm], key: str, value: object
) -> None:
    with pytest.raises(UserError, match=rf"^model\.{key}: "):
        validate(kind.Settings, {key: value}, "model")
