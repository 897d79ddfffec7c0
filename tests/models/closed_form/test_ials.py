from collections.abc import Callable

import numpy as np
import pytest

from tfrec.data.interactions import Interactions
from tfrec.models.closed_form import IALS, ials

SETTINGS = IALS.Settings(dim=4, iterations=3, l2=0.05, unobserved_weight=0.2)


def fitted(log: Interactions, **changes: object) -> IALS:
    model = IALS(SETTINGS.model_copy(update=changes))
    model.fit(log)
    return model


def loss(settings: IALS.Settings, log: Interactions, w: np.ndarray, h: np.ndarray) -> float:
    """The objective as the class's docstring writes it, pair by pair."""
    confidence: dict[tuple[int, int], float] = {}
    for user, item, weight in zip(log.users, log.items, log.weights, strict=True):
        before = confidence.get((user, item), 0.0)
        confidence[user, item] = before + weight if settings.weighted else 1.0
    total = 0.0
    for user in range(log.n_users):
        for item in range(log.n_items):
            score = float(w[user] @ h[item])
            total += settings.unobserved_weight * score**2
            if (user, item) in confidence:
                total += confidence[user, item] * (score - 1) ** 2
    for vectors, place, others in ((w, 0, log.n_items), (h, 1, log.n_users)):
        for row, vector in enumerate(vectors):
            chosen = sum(pair[place] == row for pair in confidence)
            frequency = chosen + settings.unobserved_weight * others
            total += settings.l2 * frequency**settings.frequency_exponent * float(vector @ vector)
    return total


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
def test_a_shoppers_vector_is_the_best_one_for_the_history(
    log: Interactions, weighted: bool, exponent: float
) -> None:
    model = fitted(log, weighted=weighted, frequency_exponent=exponent)
    items = model.item_vectors.astype(np.float64)

    users = model.embed(log.matrix(weighted)).astype(np.float64)

    best = loss(model.settings, log, users, items)
    random = np.random.default_rng(0)
    for _ in range(5):
        aside = 1e-2 * random.normal(size=users.shape)
        gained = loss(model.settings, log, users + aside, items) - best
        lost = loss(model.settings, log, users - aside, items) - best
        assert gained > 0
        assert gained == pytest.approx(lost, rel=1e-2)  # no slope is left


def test_every_iteration_improves_the_objective(log: Interactions) -> None:
    losses = []
    for iterations in range(1, 8):
        model = fitted(log, iterations=iterations)
        users = model.embed(log.matrix()).astype(np.float64)
        losses.append(loss(model.settings, log, users, model.item_vectors.astype(np.float64)))

    assert losses == sorted(losses, reverse=True)


def test_fit_equals_a_plain_loop_over_shoppers_and_items(
    log: Interactions, baskets: list[set[int]]
) -> None:
    choosers = [
        {user for user, basket in enumerate(baskets) if item in basket}
        for item in range(log.n_items)
    ]
    s = SETTINGS

    def solve(chosen: list[set[int]], others: np.ndarray) -> np.ndarray:
        solved = np.zeros([len(chosen), s.dim])
        for row, partners in enumerate(chosen):
            known = others[sorted(partners)]
            penalty = s.l2 * (len(partners) + s.unobserved_weight * len(others))
            left = known.T @ known + s.unobserved_weight * others.T @ others
            solved[row] = np.linalg.solve(left + penalty * np.eye(s.dim), known.sum(axis=0))
        return solved

    first = np.random.default_rng(s.seed).normal(0, 0.1 / s.dim**0.5, [log.n_items, s.dim])
    items = first.astype(np.float32).astype(np.float64)
    for _ in range(s.iterations):
        items = solve(choosers, solve(baskets, items))

    np.testing.assert_allclose(fitted(log).item_vectors, items, rtol=1e-3, atol=1e-5)


def test_small_blocks_solve_the_same(log: Interactions, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = fitted(log)

    monkeypatch.setattr(ials, "_FLOATS", 1)

    np.testing.assert_allclose(fitted(log).item_vectors, whole.item_vectors, rtol=1e-4, atol=1e-6)


def test_the_seed_decides_the_vectors(log: Interactions) -> None:
    first, again, other = (fitted(log, seed=seed).item_vectors for seed in (1, 1, 2))

    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)


def test_a_known_item_may_be_disliked_but_one_without_events_is_never_recommended(
    log: Interactions,
) -> None:
    scores = fitted(log).scores(log.matrix())

    assert np.isneginf(scores[:, -1]).all()
    assert np.isfinite(scores[:, :-1]).all()


def test_a_shopper_without_history_has_no_preference(log: Interactions) -> None:
    model = fitted(log)

    assert not model.embed(log.matrix()[[-1]]).any()
    assert len(np.unique(model.scores(log.matrix()[[-1]])[:, :-1])) == 1


def test_more_confidence_brings_a_pair_nearer_to_one(
    make_log: Callable[..., Interactions],
) -> None:
    events = [(user, item, 1.0, 0) for user in range(6) for item in range(user, user + 3)]

    def score(weight: float) -> float:
        log = make_log([(0, 7, weight, 0), (3, 7, 1.0, 0), *events], n_users=6, n_items=8)
        return fitted(log, weighted=True).scores(log.matrix(weighted=True))[0, 7]

    assert abs(score(20.0) - 1) < abs(score(1.0) - 1)
