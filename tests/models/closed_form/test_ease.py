from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest

from tfrec.data.interactions import Interactions
from tfrec.errors import UserError
from tfrec.models.closed_form import EASE, ease


def fitted(log: Interactions, **settings: object) -> EASE:
    model = EASE(EASE.Settings(**settings))
    model.fit(log)
    return model


def test_each_item_is_a_ridge_regression_on_the_others(log: Interactions) -> None:
    model = fitted(log, l2=3.0)

    chosen = log.matrix().toarray().astype(np.float64)
    for column, item in enumerate(model.items):
        others = np.delete(model.items, column)
        x = chosen[:, others]
        expected = np.linalg.solve(x.T @ x + 3 * np.eye(len(others)), x.T @ chosen[:, item])
        np.testing.assert_allclose(
            np.delete(model.weights[:, column], column), expected, rtol=1e-4, atol=1e-6
        )
    assert not model.weights.diagonal().any()


def test_scores_are_sums_of_the_historys_weights(
    log: Interactions, baskets: list[set[int]]
) -> None:
    model = fitted(log, l2=3.0)

    scores = model.scores(log.matrix())

    for row, basket in zip(scores, baskets, strict=True):
        for column, item in enumerate(model.items):
            expected = sum(model.weights[list(model.items).index(i), column] for i in basket)
            assert row[item] == pytest.approx(expected, abs=1e-5)


def test_only_items_with_an_event_are_recommended(log: Interactions) -> None:
    scores = fitted(log).scores(log.matrix())

    sold = np.isin(np.arange(log.n_items), log.items)
    assert np.isfinite(scores[:, sold]).all()
    assert np.isneginf(scores[:, ~sold]).all()


def test_the_most_popular_items_are_kept_and_fitted_as_if_alone(log: Interactions) -> None:
    counts = log.matrix().sum(axis=0).A1
    most = np.sort(np.argsort(-counts, kind="stable")[:4])

    model = fitted(log, l2=3.0, most_items=4)

    assert model.items.tolist() == most.tolist()
    rows = np.isin(log.items, most)
    alone = Interactions(
        users=log.users[rows], items=log.items[rows], weights=log.weights[rows],
        times=log.times[rows], n_users=log.n_users, n_items=log.n_items,
    )  # fmt: skip
    np.testing.assert_array_equal(
        model.scores(log.matrix()), fitted(alone, l2=3.0).scores(log.matrix())
    )


def test_a_small_piece_of_the_gram_matrix_at_a_time_gives_the_same(
    log: Interactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = fitted(log).weights

    monkeypatch.setattr(ease, "_COLUMNS", 5)

    np.testing.assert_array_equal(fitted(log).weights, whole)


def test_catalogue_that_does_not_fit_is_refused_with_a_size_that_does(
    log: Interactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = SimpleNamespace(available=16 * 25)
    monkeypatch.setattr(ease.psutil, "virtual_memory", lambda: free)

    with pytest.raises(UserError, match=r"^most_items: EASE on 11 items takes .* set it to 5 or "):
        fitted(log)

    assert len(fitted(log, most_items=5).items) == 5


def test_the_size_of_a_large_catalogue_is_told_before_anything_is_made(
    make_log: Callable[..., Interactions],
) -> None:
    n_items = 1_000_000
    log = make_log([(0, item, 1.0, 0) for item in range(n_items)], n_users=1, n_items=n_items)

    with pytest.raises(UserError, match=r"1,000,000 items takes 16,000\.0 GB"):
        fitted(log)
