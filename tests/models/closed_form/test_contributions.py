"""What each item of a history adds to a score, against plain recomputations."""

import numpy as np
import pytest
import tensorflow as tf

from tfrec.data.interactions import Interactions
from tfrec.models.closed_form import EASE, IALS, ClosedForm, ItemKNN, OwnHistory, Popularity
from tfrec.models.closed_form.fitted import EXACT, LEAVE_ONE_OUT, Scorer
from tfrec.models.explanations import answer, explain_history

MODELS = [
    Popularity(),
    OwnHistory(),
    ItemKNN(ItemKNN.Settings(neighbours=4)),
    ItemKNN(ItemKNN.Settings(similarity="jaccard", shrinkage=2.0)),
    EASE(EASE.Settings(l2=3.0)),
    EASE(EASE.Settings(l2=3.0, most_items=6)),
    IALS(IALS.Settings(dim=5)),
    IALS(IALS.Settings(dim=5, weighted=True, frequency_exponent=0.5)),
]

ROWS = [[3, 1, 3, -1], [0, -1, -1, -1], [-1, -1, -1, -1], [10, 11, 2, 0]]
"""Histories with a repeat, with gaps, with nothing, and with an item without an event."""

ITEMS = [[3, 0, 11], [1, 0, 2], [5, 6, 7], [0, 10, 4]]
"""Items to explain, among them such as are in the histories and one without an event."""

places, items = tf.constant(ROWS, tf.int64), tf.constant(ITEMS, tf.int64)


def shares(history: list[int]) -> list[float]:
    """What a place is of all places of its item."""
    return [0 if item < 0 else 1 / history.count(item) for item in history]


def weights_of(model: ItemKNN | EASE, n_items: int) -> np.ndarray:
    """How much an item of a history, by row, adds to the score of each item."""
    if isinstance(model, EASE):
        weights = np.zeros([n_items, n_items])
        weights[np.ix_(model.items, model.items)] = model.weights
        return weights
    weights = np.zeros([n_items, n_items])
    for item in range(n_items):
        for place in range(model.starts[item], model.starts[item + 1]):
            weights[item, model.items[place]] = model.similarities[place]
    return weights


@pytest.mark.parametrize("model", [m for m in MODELS if isinstance(m, ItemKNN | EASE)])
def test_linear_models_add_the_weight_of_each_item_once(
    model: ItemKNN | EASE, log: Interactions
) -> None:
    model.fit(log)

    found = model.in_graph().contributions(places, items).numpy()

    weights = weights_of(model, log.n_items)
    for history, asked, parts in zip(ROWS, ITEMS, found, strict=True):
        for item, of_places in zip(asked, parts, strict=True):
            expected = [
                share * weights[other, item]
                for other, share in zip(history, shares(history), strict=True)
            ]
            np.testing.assert_allclose(of_places, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("model", [m for m in MODELS if isinstance(m, IALS)])
def test_shoppers_vector_is_a_sum_over_the_history(model: IALS, log: Interactions) -> None:
    model.fit(log)
    settings = model.settings

    found = model.in_graph().contributions(places, items).numpy()

    vectors = model.item_vectors.astype(np.float64)
    for history, asked, parts in zip(ROWS, ITEMS, found, strict=True):
        chosen = [item for item in history if item >= 0]
        counted = chosen if settings.weighted else sorted(set(chosen))
        own = vectors[counted]
        frequency = len(set(chosen)) + settings.unobserved_weight * log.n_items
        penalty = settings.l2 * frequency**settings.frequency_exponent
        left = own.T @ own + settings.unobserved_weight * vectors.T @ vectors
        inverse = np.linalg.inv(left + penalty * np.eye(settings.dim))
        weights = [float(i >= 0) for i in history] if settings.weighted else shares(history)
        expected = (vectors[asked] @ inverse @ vectors[history].T) * weights
        np.testing.assert_allclose(parts, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: f"{model.__class__.__name__}")
def test_contributions_add_up_from_the_empty_history_to_the_score(
    model: ClosedForm, log: Interactions
) -> None:
    model.fit(log)
    names = tf.constant([[str(item) for item in row] for row in ROWS])

    parts = explain_history(model.in_graph(), "recent", names, places, items)
    found = {
        name: values.numpy()
        for name, values in answer(parts, tf.strings.as_string(items), items >= 0).items()
    }

    scores = np.take_along_axis(model.in_graph()(places).numpy(), np.array(ITEMS), 1)
    np.testing.assert_allclose(found["scores"], scores, rtol=1e-5)
    assert set(found["history_method"].astype(str)) == {EXACT}
    assert np.abs(found["remainder"]).max() < 1e-4
    sums = found["history_contributions"].sum(-1)
    np.testing.assert_allclose(sums, found["feature_contributions"][..., 0], rtol=1e-5, atol=1e-6)
    if not isinstance(model, OwnHistory):
        finite = np.isfinite(scores)
        both = found["baseline_scores"] + sums
        np.testing.assert_allclose(both[finite], scores[finite], rtol=1e-3, atol=1e-4)


def test_what_is_popular_and_what_was_bought_before_is_said_so(log: Interactions) -> None:
    def reasons(model: ClosedForm) -> list[list[str]]:
        model.fit(log)
        names = tf.constant([["" if i < 0 else str(i) for i in row] for row in ROWS])
        parts = explain_history(model.in_graph(), "recent", names, places, items)
        found = answer(parts, tf.strings.as_string(items), items >= 0)
        return found["reasons"].numpy().astype(str).tolist()

    assert {reason for row in reasons(Popularity()) for reason in row} == {"popular"}
    assert reasons(OwnHistory()) == [
        ["buy_again", "", ""],
        ["", "buy_again", ""],
        ["", "", ""],
        ["buy_again", "buy_again", ""],
    ]
    knn = reasons(ItemKNN())
    assert knn[1] == ["because_you_bought:0", "popular", "because_you_bought:0"]
    assert knn[2] == ["popular"] * 3


class Product(Scorer):
    """Scores an item by the product of all places that are filled: nothing adds up."""

    def __call__(self, rows: tf.Tensor) -> tf.Tensor:
        factors = tf.reduce_prod(tf.where(rows < 0, 1.0, tf.cast(rows, tf.float32) + 2), 1)
        return factors[:, tf.newaxis] * tf.range(4, dtype=tf.float32)


def test_other_models_leave_each_place_out() -> None:
    scorer = Product()

    found = scorer.contributions(
        tf.constant([[0, 1, -1]], tf.int64), tf.constant([[3, 0]], tf.int64)
    )

    assert scorer.explains == LEAVE_ONE_OUT
    assert found.numpy().tolist() == [[[18 - 9, 18 - 6, 0], [0, 0, 0]]]
