from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import tfrec
from tfrec.embeddings.groups import group_tables
from tfrec.features import FeatureSpec
from tfrec.features.parsing import ITEM_ROW, TIME, WEIGHT
from tfrec.features.plan import Table
from tfrec.losses import in_batch_softmax
from tfrec.models import ModelInputs, TwoTower
from tfrec.training.config import Optimizers, TrainingConfig
from tfrec.training.step import make_step

BATCH, ITEMS = 64, 12
TABLES = {
    "shopper": Table(9, 8, 1),
    "sku": Table(ITEMS + 1, 8, 1),
    "aisle": Table(4, 4, 1),
    "channel": Table(3, 2, 1),
    "weekday": Table(8, 2, 1),
}

Batch = dict[str, tf.Tensor | tf.RaggedTensor]


class WiderItems(TwoTower):
    class Settings(TwoTower.Settings):
        width: int = 16

    def item_tower(self) -> tf_keras.Model:
        return tfrec.layers.mlp([self.settings.width], output_dim=self.embedding_dim)


@pytest.fixture
def make_model(spec: FeatureSpec) -> Callable[..., TwoTower]:
    def make(template: type[TwoTower] = TwoTower, **settings: float) -> TwoTower:
        tf_keras.utils.set_random_seed(0)
        share = np.arange(1, ITEMS + 1, dtype=np.float32)
        groups = group_tables(TABLES, Optimizers().of_table)
        inputs = ModelInputs(spec, TABLES, groups, share / share.sum())
        model = template(inputs, template.Settings(**{"embedding_dim": 8, **settings}))
        model.make_variables()
        return model

    return make


@pytest.fixture
def batch() -> Batch:
    """Shoppers who each buy one of two items."""
    random = np.random.default_rng(0)
    shopper = random.integers(6, size=BATCH)
    item = 2 * shopper + random.integers(2, size=BATCH)
    columns = {
        "shopper": shopper,
        "sku": item,
        "aisle": item % 3,
        "channel": random.integers(2, size=BATCH),
        "weekday": random.integers(7, size=BATCH),
        ITEM_ROW: item,
        TIME: np.zeros(BATCH, np.int64),
    }
    lengths = random.integers(6, size=BATCH)
    recent = tf.RaggedTensor.from_row_lengths(
        tf.constant(random.integers(ITEMS, size=lengths.sum())), tf.constant(lengths)
    )
    tensors = {name: tf.constant(values) for name, values in columns.items()}
    return {**tensors, "recent": recent, WEIGHT: tf.ones([BATCH])}


def fit(model: TwoTower, batch: Batch, steps: int = 40) -> list[float]:
    """Trains on one batch again and again; returns the loss of each quarter of the steps."""
    fast = {kind: {"kind": "adagrad", "learning_rate": 0.1} for kind in ("tables", "dense")}
    step = make_step(model, TrainingConfig(strategy="single", optimizers=fast))
    batches = tf.data.Dataset.from_tensors(batch).repeat()
    history = step.fit(batches, steps_per_epoch=steps // 4, epochs=4, verbose=0)
    return history.history["loss"]


def test_loss_is_finite_and_falls_in_training(
    make_model: Callable[..., TwoTower], batch: Batch
) -> None:
    losses = fit(make_model(), batch)

    assert np.isfinite(losses).all()
    assert losses[-1] < 0.7 * losses[0]


def test_trained_model_ranks_what_a_shopper_buys_first(
    make_model: Callable[..., TwoTower], batch: Batch
) -> None:
    model = make_model()
    fit(model, batch, steps=100)

    rows, first = np.unique(batch[ITEM_ROW], return_index=True)
    items = {name: tf.gather(batch[name], first) for name in model.item_features}
    scores = model.embed_query(batch).numpy() @ model.embed_item(items).numpy().T

    first_choice = rows[scores.argmax(axis=1)]
    assert (first_choice // 2 == batch["shopper"].numpy()).mean() > 0.95


def test_items_have_length_one_and_queries_the_inverse_temperature(
    make_model: Callable[..., TwoTower], batch: Batch
) -> None:
    model = make_model(temperature=0.25, embedding_dim=6)

    items, queries = model.embed_item(batch).numpy(), model.embed_query(batch).numpy()

    assert items.shape == queries.shape == (BATCH, 6)
    np.testing.assert_allclose(np.linalg.norm(items, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(queries, axis=1), 4, rtol=1e-5)


def test_query_is_made_of_shopper_and_moment_and_item_of_its_own_features(
    make_model: Callable[..., TwoTower], batch: Batch
) -> None:
    model = make_model()

    assert model.query_features == ["shopper", "recent", "channel", "weekday"]
    assert model.item_features == ["sku", "aisle"]
    model.embed_query({name: batch[name] for name in model.query_features})
    model.embed_item({name: batch[name] for name in model.item_features})


def test_loss_is_that_of_the_distinct_items_of_the_batch(
    make_model: Callable[..., TwoTower], batch: Batch
) -> None:
    model = make_model()
    batch[WEIGHT] = tf.linspace(0.0, 1.0, BATCH)

    loss = model.compute_loss(batch)

    rows, first, positives = np.unique(batch[ITEM_ROW], return_index=True, return_inverse=True)
    expected = in_batch_softmax(
        model.embed_query(batch),
        tf.gather(model.embed_item(batch), first),
        positives,
        tf.constant((rows + 1) / np.arange(1, ITEMS + 1).sum(), tf.float32),
    )
    assert loss.numpy() == pytest.approx(np.average(expected, weights=batch[WEIGHT]), rel=1e-5)


def test_weights_of_nothing_give_no_loss(make_model: Callable[..., TwoTower], batch: Batch) -> None:
    batch[WEIGHT] = tf.zeros(BATCH)

    assert make_model().compute_loss(batch).numpy() == 0


def test_an_item_is_never_its_own_negative(
    make_model: Callable[..., TwoTower], batch: Batch
) -> None:
    for name in (ITEM_ROW, "sku", "aisle"):
        batch[name] = tf.zeros_like(batch[name])

    assert make_model().compute_loss(batch).numpy() == pytest.approx(0, abs=1e-5)


def test_unknown_values_are_hidden_in_training_only(
    make_model: Callable[..., TwoTower], batch: Batch
) -> None:
    model = make_model()

    assert model.compute_loss(batch).numpy() == model.compute_loss(batch).numpy()
    assert model.compute_loss(batch, training=True).numpy() != model.compute_loss(batch).numpy()


def test_all_variables_are_made_before_the_first_batch(
    make_model: Callable[..., TwoTower], batch: Batch
) -> None:
    model = make_model()
    shapes = sorted(tuple(weight.shape) for weight in model.trainable_weights)

    model.compute_loss(batch, training=True)

    assert sorted(tuple(weight.shape) for weight in model.trainable_weights) == shapes
    assert {(9 + 13, 8), (4, 4), (3 + 8, 2)} <= set(shapes)


def test_subclass_with_an_item_tower_of_its_own_trains(
    make_model: Callable[..., TwoTower], batch: Batch
) -> None:
    model = make_model(WiderItems, width=20)
    before = {weight.name: weight.numpy() for weight in model.trainable_weights}

    losses = fit(model, batch)

    assert losses[-1] < 0.7 * losses[0]
    (hidden,) = [w for w in model.trainable_weights if w.shape == (12, 20)]
    assert (hidden.numpy() != before[hidden.name]).any()
    np.testing.assert_allclose(np.linalg.norm(model.embed_item(batch), axis=1), 1, rtol=1e-5)
