"""What the settings of in-batch learning do to a template's loss."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from retrieval_toys import IDS, ITEMS, SHOPPERS, Batch, batch_of, fit, inputs_of, make, scores

from tfrec.config import validate
from tfrec.errors import UserError
from tfrec.features.parsing import ITEM_ROW, UNIFORM
from tfrec.models import (
    ItemToItem,
    MatrixFactorization,
    ModelInputs,
    RetrievalTemplate,
    SASRec,
    TwoTower,
)

SHARE = np.arange(1, ITEMS + 1, dtype=np.float32) / np.arange(1, ITEMS + 1).sum()
SHOPPER, ITEM = np.array([0, 1, 2, 0, 3]), np.array([3, 4, 3, 11, 0])
DRAWN = np.array([7, 3, 7, 2])


def inputs() -> ModelInputs:
    given = inputs_of(IDS)
    return ModelInputs(given.spec, given.tables, given.groups, SHARE)


def batch(drawn: np.ndarray | None = None) -> Batch:
    found = batch_of(SHOPPER, ITEM)
    if drawn is not None:
        found |= {UNIFORM + name: tf.constant(drawn) for name in (ITEM_ROW, "sku")}
    return found


def corrected_scores(model: RetrievalTemplate, share: np.ndarray, uniform: int = 0) -> np.ndarray:
    """Scores of all items for the batch's queries, less the logarithm of each one's chance."""
    every = np.arange(ITEMS)
    found = scores(model, batch(), batch_of(every % SHOPPERS, every))
    missed = (1 - share.astype(float)) ** len(ITEM) * (1 - 1 / ITEMS) ** uniform
    return found - np.log(1 - missed)


def losses_among(found: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Cross-entropy of each query's own item among some."""
    own = found[np.arange(len(ITEM)), ITEM]
    return np.log(np.exp(found[:, rows]).sum(axis=1)) - own


def test_items_drawn_uniformly_are_candidates_and_the_chance_knows_both_ways() -> None:
    model = make(TwoTower, inputs(), uniform_negatives=4)

    losses = model.example_losses(batch(DRAWN)).numpy()

    rows = np.unique(np.r_[ITEM, DRAWN])
    expected = losses_among(corrected_scores(model, SHARE, uniform=4), rows)
    np.testing.assert_allclose(losses, expected, rtol=1e-4)
    assert model.uniform_items(model.settings, 128) == 4
    plain = make(TwoTower, inputs())
    assert plain.uniform_items(plain.settings, 128) == 0


def test_only_the_hardest_negatives_count() -> None:
    model = make(TwoTower, inputs(), hard_negatives=2, uniform_negatives=4)

    losses = model.example_losses(batch(DRAWN)).numpy()

    found = corrected_scores(model, SHARE, uniform=4)
    candidates = np.unique(np.r_[ITEM, DRAWN])
    for query, own in enumerate(ITEM):
        others = [row for row in candidates if row != own]
        hardest = sorted(others, key=lambda row: -found[query, row])[:2]
        expected = losses_among(found, np.array([own, *hardest]))[query]
        assert losses[query] == pytest.approx(expected, rel=1e-4)


def test_shares_are_estimated_from_training_batches_alone() -> None:
    model = make(TwoTower, inputs(), item_frequency="streaming", uniform_negatives=4)
    for _ in range(3):
        model.example_losses(batch(DRAWN), training=True)
    before = model.example_losses(batch(DRAWN)).numpy()

    losses = model.example_losses(batch(DRAWN)).numpy()

    # The items of the batch were in each, those that were drawn beside it count as never bought.
    chance = np.full(ITEMS, 1 / 3)
    chance[ITEM] = 1 - 1e-6
    share = 1 - (1 - chance) ** (1 / len(ITEM))
    rows = np.unique(np.r_[ITEM, DRAWN])
    expected = losses_among(corrected_scores(model, share, uniform=4), rows)
    np.testing.assert_allclose(losses, expected, rtol=1e-3)
    np.testing.assert_array_equal(losses, before)


@pytest.mark.parametrize(
    "settings",
    [{"hard_negatives": 3}, {"item_frequency": "streaming"}, {"uniform_negatives": 6}],
)
@pytest.mark.parametrize("template", [TwoTower, MatrixFactorization])
def test_training_finds_what_each_shopper_buys(
    template: type[RetrievalTemplate], settings: dict[str, Any]
) -> None:
    random = np.random.default_rng(0)
    shopper = random.integers(SHOPPERS, size=64)
    item = 2 * shopper + random.integers(2, size=64)
    bought = batch_of(shopper, item)
    if "uniform_negatives" in settings:
        # `fit` shuffles all columns alike, so there are as many items as examples.
        drawn = tf.constant(random.integers(ITEMS, size=64))
        bought |= {UNIFORM + ITEM_ROW: drawn, UNIFORM + "sku": drawn}
    model = make(template, inputs(), embedding_dim=8, **settings)

    losses = fit(model, bought, accumulation=2)

    assert losses[-1] < 0.9 * losses[0]
    every = np.arange(ITEMS)
    found = scores(model, batch_of(every % 6, every), batch_of(every % 6, every))
    assert (found.argmax(axis=1) // 2 == every % 6).mean() > 0.9


def test_an_item_that_nobody_buys_is_pushed_down_only_if_it_is_drawn() -> None:
    item = np.arange(ITEMS - 2)
    bought = batch_of(item % SHOPPERS, item)
    drawn = tf.constant(np.arange(len(item)) % 2 + ITEMS - 2)
    every = np.arange(ITEMS)

    def above(uniform: int) -> float:
        beside = {UNIFORM + ITEM_ROW: drawn, UNIFORM + "sku": drawn} if uniform else {}
        model = make(MatrixFactorization, inputs(), embedding_dim=8, uniform_negatives=uniform)
        fit(model, {**bought, **beside}, steps=80)
        found = scores(model, batch_of(every % 6, every), batch_of(every % 6, every))
        return float(found[:, ITEMS - 2 :].mean())

    assert above(uniform=len(item)) < above(uniform=0) - 0.2


def test_bpr_takes_uniform_items_for_negatives() -> None:
    model = make(
        MatrixFactorization, inputs(), loss="bpr", hard=True, negatives=20, uniform_negatives=4
    )

    losses = model.example_losses(batch(DRAWN)).numpy()

    every = np.arange(ITEMS)
    found = scores(model, batch(), batch_of(every % SHOPPERS, every))
    for query, own in enumerate(ITEM):
        others = [row for row in np.unique(np.r_[ITEM, DRAWN]) if row != own]
        gaps = found[query, others] - found[query, own]
        assert losses[query] == pytest.approx(np.log1p(np.exp(gaps)).mean(), rel=1e-4)


def test_pairs_of_items_have_uniform_negatives_too() -> None:
    columns = {"_source_sku": tf.constant((ITEM + 1) % ITEMS)}
    model = make(ItemToItem, inputs(), uniform_negatives=4)

    losses = model.example_losses({**batch(DRAWN), **columns})

    every = batch_of(np.arange(ITEMS) % SHOPPERS, np.arange(ITEMS))
    found = scores(model, batch_of(SHOPPER, (ITEM + 1) % ITEMS), every)
    missed = (1 - SHARE.astype(float)) ** len(ITEM) * (1 - 1 / ITEMS) ** 4
    expected = losses_among(found - np.log(1 - missed), np.unique(np.r_[ITEM, DRAWN]))
    np.testing.assert_allclose(losses, expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("template", "settings", "message"),
    [
        (TwoTower, {"uniform_negatives": -1}, r"model.uniform_negatives: .*-1"),
        (TwoTower, {"hard_negatives": 0}, r"model.hard_negatives: .*0"),
        (TwoTower, {"item_frequency": "known"}, r"model.item_frequency: .*known"),
        (SASRec, {"uniform_negatives": 5}, r"uniform_negatives: negatives are drawn from the item"),
        (
            MatrixFactorization,
            {"loss": "squared", "label": "stars", "hard_negatives": 2},
            r"hard_negatives: loss squared has no negatives; leave it out",
        ),
        (
            MatrixFactorization,
            {"loss": "bpr", "item_frequency": "streaming"},
            r"item_frequency: loss bpr corrects nothing by it; leave it out",
        ),
    ],
)
def test_settings_that_cannot_be_are_refused(
    template: type[RetrievalTemplate], settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        validate(template.Settings, settings, "model")
