import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from retrieval_toys import HISTORY, IDS, ITEMS, Batch, batch_of, fit, inputs_of, make, scores

import tfrec
from tfrec.errors import UserError
from tfrec.losses import in_batch_softmax
from tfrec.models import SequenceTower

INPUTS = inputs_of(HISTORY)
CATALOGUE = {"sku": tf.range(ITEMS, dtype=tf.int64)}


def sets() -> Batch:
    """Whoever bought of one half of the catalogue goes on with the same half."""
    random = np.random.default_rng(0)
    half = 6 * random.integers(2, size=64)
    item = half + random.integers(6, size=64)
    histories = [(own + random.integers(6, size=3)).tolist() for own in half]
    return batch_of(np.zeros(64, np.int64), item, histories)


def test_it_learns_what_goes_with_a_history() -> None:
    model, batch = make(SequenceTower, INPUTS, hidden=[16]), sets()

    losses = fit(model, batch, steps=80)

    assert losses[-1] < losses[0]
    halves = np.array([history[0] // 6 for history in batch["recent"].to_list()])
    best = np.argsort(-scores(model, batch, CATALOGUE), axis=1)[:, :4]
    assert (best // 6 == halves[:, None]).mean() > 0.95


def test_order_of_a_history_does_not_count_and_none_is_as_good() -> None:
    model = make(SequenceTower, INPUTS)

    embedded = model.embed_query(
        batch_of(np.zeros(3, np.int64), np.zeros(3, np.int64), [[3, 1], [1, 3], []])
    ).numpy()

    np.testing.assert_allclose(embedded[0], embedded[1], rtol=1e-5)
    assert np.isfinite(embedded).all()
    assert (embedded >= 0).all()


def test_loss_is_the_softmax_of_the_batch_corrected_for_popularity() -> None:
    model, batch = make(SequenceTower, INPUTS), sets()

    losses = model.example_losses(batch)

    rows, positives = np.unique(batch["sku"], return_inverse=True)
    items = model.embed_item({"sku": tf.constant(rows)})
    shares = tf.fill([len(rows)], 1 / ITEMS)
    expected = in_batch_softmax(model.embed_query(batch), items, positives, shares)
    np.testing.assert_allclose(losses, expected, rtol=1e-4)


def test_a_subclass_replaces_a_tower() -> None:
    class Wider(SequenceTower):
        def item_tower(self) -> tf_keras.Model:
            return tfrec.layers.mlp([20], output_dim=self.embedding_dim)

    model = make(Wider, INPUTS)

    assert (8, 20) in {tuple(weight.shape) for weight in model.trainable_weights}
    assert np.isfinite(fit(model, sets(), steps=8)).all()


def test_features_without_a_sequence_are_refused() -> None:
    with pytest.raises(UserError, match="none is a sequence"):
        make(SequenceTower, inputs_of(IDS))
