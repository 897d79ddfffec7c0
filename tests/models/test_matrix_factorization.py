from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from retrieval_toys import (
    IDS,
    ITEMS,
    SHOPPERS,
    TABLES,
    Batch,
    batch_of,
    fit,
    inputs_of,
    make,
    scores,
)

from tfrec.errors import UserError
from tfrec.features.plan import Table
from tfrec.losses import in_batch_softmax
from tfrec.models import MatrixFactorization

RATED = {**IDS, "rating": {"role": "label", "kind": "numeric"}}
EVENTS = 40


def purchases(seed: int = 0, **more: Any) -> Batch:
    """Shoppers who each buy one of two items."""
    random = np.random.default_rng(seed)
    shopper = random.integers(SHOPPERS, size=EVENTS)
    return batch_of(shopper, 2 * shopper + random.integers(2, size=EVENTS), **more)


def ratings() -> Batch:
    """Any shopper rates any item; some never do, and some are never rated."""
    random = np.random.default_rng(1)
    shopper, item = random.integers(SHOPPERS - 1, size=EVENTS), random.integers(8, size=EVENTS)
    return batch_of(shopper, item, rating=random.uniform(1, 5, EVENTS).astype(np.float32))


def counts_of(batch: Batch) -> dict[str, np.ndarray]:
    return {n: np.bincount(batch[n], minlength=TABLES[n].rows) for n in ("shopper", "sku")}


def every(name: str) -> dict[str, tf.Tensor]:
    return {name: tf.range(TABLES[name].rows, dtype=tf.int64)}


def factors(model: MatrixFactorization) -> tuple[np.ndarray, np.ndarray]:
    return model.embed_query(every("shopper")).numpy(), model.embed_item(every("sku")).numpy()


@pytest.mark.parametrize(
    "settings", [{}, {"loss": "bpr"}, {"loss": "bpr", "hard": True, "negatives": 3}], ids=str
)
def test_it_learns_what_a_shopper_buys(settings: dict[str, Any]) -> None:
    model, batch = make(MatrixFactorization, inputs_of(IDS), **settings), purchases()

    losses = fit(model, batch, steps=200)

    assert losses[-1] < losses[0]
    found = scores(model, {"shopper": tf.range(SHOPPERS, dtype=tf.int64)}, every("sku"))
    assert (found[:, :ITEMS].argmax(axis=1) // 2 == np.arange(SHOPPERS)).all()


def test_vectors_are_the_sums_of_the_embeddings() -> None:
    category = {"kind": "categorical", "embedding": 8}
    content = {**IDS, "aisle": {"role": "item", **category}}
    model = make(MatrixFactorization, inputs_of(content, {**TABLES, "aisle": Table(4, 8, 1)}))
    features = {"sku": tf.constant([1, 2, 5]), "aisle": tf.constant([0, 0, 3])}
    features = {name: tf.cast(rows, tf.int64) for name, rows in features.items()}

    embedded = model.embedding(features)

    np.testing.assert_allclose(
        model.embed_item(features), embedded["sku"] + embedded["aisle"], rtol=1e-6
    )


def test_gradient_of_all_ratings_is_that_of_the_regularised_sum_of_squares() -> None:
    batch, penalty = ratings(), 0.7
    inputs = inputs_of(RATED, row_counts=counts_of(batch))
    model = make(
        MatrixFactorization, inputs, loss="squared", label="rating", regularisation=penalty
    )
    users, items = factors(model)
    (group,) = model.embedding.groups
    (table,) = model.embedding.group_tables[group.name].shards

    with tf.GradientTape() as tape:
        loss = model.compute_loss(batch, training=True)
    gradient = tf.convert_to_tensor(tape.gradient(loss, table)).numpy() * EVENTS

    shopper, sku, rating = (batch[name].numpy() for name in ("shopper", "sku", "rating"))
    rated, errors = np.zeros([len(users), len(items)]), np.zeros([len(users), len(items)])
    np.add.at(rated, (shopper, sku), 1)
    np.add.at(errors, (shopper, sku), rating - (users[shopper] * items[sku]).sum(axis=1))
    seen_users, seen_items = rated.any(axis=1), rated.any(axis=0)
    squares = (users[seen_users] ** 2).sum() + (items[seen_items] ** 2).sum()
    residuals = rating - (users[shopper] * items[sku]).sum(axis=1)
    assert float(loss) * EVENTS == pytest.approx((residuals**2).sum() + penalty * squares, rel=1e-5)
    to_users = -2 * errors @ items + 2 * penalty * users * seen_users[:, None]
    to_items = -2 * errors.T @ users + 2 * penalty * items * seen_items[:, None]
    for name, expected in (("shopper", to_users), ("sku", to_items)):
        places = group.place(name, every(name)[name]).numpy()
        np.testing.assert_allclose(gradient[places], expected, rtol=1e-4, atol=1e-5)


def test_training_nears_the_least_regularised_sum_of_squares() -> None:
    batch, penalty = ratings(), 0.5
    inputs = inputs_of(RATED, row_counts=counts_of(batch))
    model = make(
        MatrixFactorization, inputs, loss="squared", label="rating", regularisation=penalty
    )
    fit(model, batch, steps=800)

    # Given the other side, each factor is a ridge regression of its own.
    users, items = factors(model)
    for row in np.unique(batch["shopper"]):
        own = batch["shopper"].numpy() == row
        rated, rating = items[batch["sku"].numpy()[own]], batch["rating"].numpy()[own]
        ridge = np.linalg.solve(rated.T @ rated + penalty * np.eye(8), rated.T @ rating)
        np.testing.assert_allclose(users[row], ridge, atol=0.02)


def test_a_bias_is_what_an_item_scores_whatever_the_shopper() -> None:
    model = make(MatrixFactorization, inputs_of(IDS), item_bias=True)
    users, items = factors(model)

    assert (users[:, -1] == 1).all()
    embedded = model.embedding(every("sku"))["sku"].numpy()
    np.testing.assert_array_equal(items, embedded)


def test_softmax_is_that_of_the_batch() -> None:
    model, batch = make(MatrixFactorization, inputs_of(IDS)), purchases()

    rows, positives = np.unique(batch["sku"], return_inverse=True)
    users, items = factors(model)
    shares = tf.fill([len(rows)], 1 / ITEMS)
    expected = in_batch_softmax(users[batch["shopper"]], items[rows], positives, shares)

    np.testing.assert_allclose(model.example_losses(batch), expected, rtol=1e-4)


def test_bpr_compares_with_other_items_of_the_batch_only() -> None:
    model = make(MatrixFactorization, inputs_of(IDS), loss="bpr", negatives=50)
    batch = batch_of(np.array([0, 1, 2, 3]), np.array([4, 4, 7, 7]))
    users, items = factors(model)

    losses = model.example_losses(batch).numpy()

    # Of two items the other one is the only negative, however often it is drawn.
    for row, (shopper, own, other) in enumerate([(0, 4, 7), (1, 4, 7), (2, 7, 4), (3, 7, 4)]):
        gap = users[shopper] @ (items[own] - items[other])
        assert losses[row] == pytest.approx(np.log1p(np.exp(-gap)), rel=1e-5)


def test_bpr_draws_each_other_item_alike() -> None:
    draws = 3000
    model = make(MatrixFactorization, inputs_of(IDS), loss="bpr", negatives=draws)
    batch = batch_of(np.arange(5), np.array([1, 3, 5, 7, 9]))
    (table,) = model.trainable_weights
    table.assign(40 * table)
    users, items = factors(model)

    losses = model.example_losses(batch).numpy()

    for row in range(5):
        own = 1 + 2 * row
        others = [item for item in (1, 3, 5, 7, 9) if item != own]
        gaps = [users[row] @ (items[own] - items[other]) for other in others]
        assert losses[row] == pytest.approx(np.mean(np.log1p(np.exp(np.negative(gaps)))), rel=0.1)


@pytest.mark.parametrize("hard", [False, True])
def test_bpr_of_a_batch_of_one_item_costs_nothing(hard: bool) -> None:
    model = make(MatrixFactorization, inputs_of(IDS), loss="bpr", hard=hard)
    batch = batch_of(np.array([0, 1]), np.array([4, 4]))

    with tf.GradientTape() as tape:
        loss = model.compute_loss(batch)
    (gradient,) = tape.gradient(loss, model.trainable_variables)

    assert loss.numpy() == 0
    assert gradient is None or np.isfinite(tf.convert_to_tensor(gradient)).all()


def refusal(inputs: object, **settings: object) -> str:
    with pytest.raises(UserError) as caught:
        make(MatrixFactorization, inputs, **settings)
    return str(caught.value)


def test_settings_that_do_not_fit_are_refused_by_name() -> None:
    squared = {"loss": "squared", "label": "rating"}

    assert "needs a label" in refusal(inputs_of(RATED), loss="squared")
    assert "weight_decay" in refusal(inputs_of(IDS), loss="bpr", regularisation=0.1)
    assert "model.label: 'stars'" in refusal(inputs_of(RATED), loss="squared", label="stars")
    dynamic = {**RATED, "shopper": {**IDS["shopper"], "lookup": "dynamic", "rows": SHOPPERS}}
    found = refusal(inputs_of(dynamic), **squared, regularisation=0.1)
    assert "features.shopper.lookup" in found


def test_features_that_do_not_add_up_are_refused_by_name() -> None:
    wide = {**IDS, "aisle": {"role": "item", "kind": "categorical", "embedding": 4}}
    priced = {**IDS, "price": {"role": "item", "kind": "numeric"}}
    rated = {**RATED, "aisle": {**wide["aisle"], "embedding": 8}}
    tables = {**TABLES, "aisle": Table(4, 4, 1)}

    assert "features.aisle.embedding: 4 is not the 8" in refusal(inputs_of(wide, tables))
    assert "features.price: it has no embedding" in refusal(inputs_of(priced))
    found = refusal(
        inputs_of(rated, {**TABLES, "aisle": Table(4, 8, 1)}, row_counts=counts_of(ratings())),
        loss="squared",
        label="rating",
        regularisation=0.1,
    )
    assert "there are sku, aisle" in found
