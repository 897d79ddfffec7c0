from collections.abc import Iterator

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from retrieval_toys import HISTORY, ITEMS, LAST, TABLES, Batch, batch_of, fit, inputs_of, make

from tfrec.errors import UserError
from tfrec.features.parsing import WEIGHT
from tfrec.features.plan import Dynamic, Table
from tfrec.losses import binary_cross_entropy, gbce, sampled_softmax
from tfrec.models import HSTU, GSASRec, SASRec, Sequential

TEMPLATES = [SASRec, GSASRec, HSTU]
INPUTS = inputs_of(HISTORY)


@pytest.fixture
def precision() -> Iterator[None]:
    """Takes back the policy that a test sets."""
    before = tf_keras.mixed_precision.global_policy()
    yield
    tf_keras.mixed_precision.set_global_policy(before)


def successors(count: int = 48, seed: int = 0) -> Batch:
    """Shoppers who go round the catalogue in steps of 5, from anywhere, for any time."""
    random = np.random.default_rng(seed)
    starts, lengths = random.integers(ITEMS, size=count), random.integers(LAST + 1, size=count)
    walks = [(starts[row] + 5 * np.arange(lengths[row] + 1)) % ITEMS for row in range(count)]
    item = np.array([walk[-1] for walk in walks])
    return batch_of(np.zeros(count, np.int64), item, [walk[:-1].tolist() for walk in walks])


def embed(model: Sequential, histories: list[list[int]]) -> np.ndarray:
    ragged = tf.ragged.constant(histories, tf.int64, row_splits_dtype=tf.int64)
    return model.embed_query({"recent": ragged}).numpy()


def items_of(model: Sequential) -> np.ndarray:
    return model.embed_item({"sku": tf.range(ITEMS, dtype=tf.int64)}).numpy()


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("loss", ["bce", "gbce", "sampled_softmax", "softmax"])
def test_it_learns_which_item_follows_another(template: type[Sequential], loss: str) -> None:
    model = make(template, INPUTS, loss=loss, negatives=4, dropout=0.0)

    losses = fit(model, successors(), steps=120)

    assert losses[-1] < 0.6 * losses[0]
    histories = [[(start + 5 * place) % ITEMS for place in range(3)] for start in range(ITEMS)]
    best = (embed(model, histories) @ items_of(model).T).argmax(axis=1)
    assert (best == [(history[-1] + 5) % ITEMS for history in histories]).mean() > 0.9


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_place_does_not_see_later_ones_and_padding_changes_nothing(
    template: type[Sequential],
) -> None:
    model = make(template, INPUTS, dropout=0.0)
    values = tf.random.stateless_normal([3, 6, 8], [1, 2])
    changed = tf.concat([values[:, :4], values[:, :2]], 1)
    lengths = tf.fill([3], tf.constant(6, tf.int64))

    before, after = model._encoder(values, lengths), model._encoder(changed, lengths)

    np.testing.assert_allclose(before[:, :4], after[:, :4], atol=1e-5)
    assert np.abs(before[:, 4:] - after[:, 4:]).max(axis=-1).min() > 1e-3
    alone = embed(model, [[3, 1, 4]])
    beside = embed(model, [[3, 1, 4], list(range(LAST))])
    np.testing.assert_allclose(alone[0], beside[0], atol=1e-5)


@pytest.mark.parametrize("template", TEMPLATES)
def test_order_of_a_history_counts(template: type[Sequential]) -> None:
    one, other = embed(make(template, INPUTS), [[3, 1, 4], [1, 3, 4]])

    assert np.abs(one - other).max() > 1e-4


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_history_of_nothing_is_a_vector_of_zeros_and_no_loss(template: type[Sequential]) -> None:
    model = make(template, INPUTS)

    assert not embed(model, [[], []]).any()
    assert embed(model, [[], [1]])[1].any()
    nothing = batch_of(np.zeros(2, np.int64), np.array([1, 2]), [[], []])
    assert model.compute_loss(nothing, training=True).numpy() == 0


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_history_longer_than_those_of_training_is_read(template: type[Sequential]) -> None:
    assert np.isfinite(embed(make(template, INPUTS), [[1] * (LAST + 5)])).all()


def plain_loss(
    model: Sequential, batch: Batch, histories: list[list[int]], draws: np.ndarray
) -> np.ndarray:
    """Each prediction made alone from its prefix of the history, in a loop."""
    table = model.embed_item({"sku": tf.range(ITEMS + 1, dtype=tf.int64)}).numpy()
    form = {
        "bce": binary_cross_entropy,
        "gbce": lambda p, n: gbce(p, n, ITEMS + 1, 0.75),
        "sampled_softmax": sampled_softmax,
    }
    losses = []
    for row, history in enumerate(histories):
        walk = [*history, int(batch["sku"][row])]
        total = 0.0
        values = tf.constant(table[history])[tf.newaxis]
        if history:
            outputs = model._encoder(values, tf.constant([len(history)], tf.int64))[0].numpy()
        for place in range(len(history)):
            output, following = outputs[place], walk[place + 1]
            if model.settings.loss == "softmax":
                every = table @ output
                total += np.log(np.exp(every).sum()) - every[following]
                continue
            own = draws[row, min(place, draws.shape[1] - 1)]
            negatives = np.where(own == following, -np.inf, table[own] @ output)
            positive = tf.constant([table[following] @ output], tf.float32)
            negatives = tf.constant([negatives], tf.float32)
            total += float(form[model.settings.loss](positive, negatives)[0])
        losses.append(total)
    return np.array(losses)


@pytest.mark.parametrize("template", [SASRec, HSTU])
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("loss", ["bce", "gbce", "sampled_softmax", "softmax"])
def test_loss_is_the_weighted_mean_over_the_predictions_of_all_places(
    template: type[Sequential], loss: str, shared: bool
) -> None:
    settings = {"loss": loss, "negatives": 3, "share_negatives": shared, "dropout": 0.0}
    model = make(template, INPUTS, **settings)
    histories = [[3, 1, 4, 1], [], [5, 9], [2]]
    batch = batch_of(np.zeros(4, np.int64), np.array([5, 6, 0, 2]), histories)
    batch[WEIGHT] = tf.constant([1.0, 5.0, 2.0, 0.5])
    seed = [13, 5 * 0 + 6 * 1 + 0 * 2 + 2 * 3]
    shape = [4, 1 if shared else 4, 3]
    draws = tf.random.stateless_uniform(shape, seed, maxval=ITEMS + 1, dtype=tf.int64).numpy()
    sums = plain_loss(model, batch, histories, draws)

    losses = model.example_losses(batch, training=True)

    np.testing.assert_allclose(losses, sums / (7 / 4), rtol=1e-4)
    expected = np.average(sums / (7 / 4), weights=[1, 5, 2, 0.5])
    assert float(model.compute_loss(batch, training=True)) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("loss", ["bce", "softmax"])
def test_examples_of_events_predict_their_own_item_alone(loss: str) -> None:
    batch = batch_of(np.zeros(3, np.int64), np.array([5, 6, 0]), [[3, 1, 4], [], [7]])
    each, last = (
        make(SASRec, INPUTS, loss=loss, share_negatives=True, examples=examples, dropout=0.0)
        for examples in ("sequences", "events")
    )

    losses = last.example_losses(batch, training=True).numpy() * 2 / 3

    assert last.reads(last.settings) == "events"
    whole = each.example_losses(batch, training=True).numpy() * 4 / 3
    assert losses[1] == 0
    assert losses[2] == pytest.approx(whole[2], rel=1e-5)
    assert losses[0] < 0.7 * whole[0]


def test_validation_predicts_no_item_that_training_may_have_seen() -> None:
    batch = batch_of(np.zeros(3, np.int64), np.array([5, 6, 0]), [[3, 1, 4], [], [7]])
    each, last = (
        make(SASRec, INPUTS, share_negatives=True, examples=examples)
        for examples in ("sequences", "events")
    )

    np.testing.assert_array_equal(each.example_losses(batch), last.example_losses(batch))


@pytest.mark.parametrize("template", TEMPLATES)
def test_all_variables_are_made_before_the_first_batch(template: type[Sequential]) -> None:
    model = make(template, INPUTS)
    shapes = sorted(tuple(weight.shape) for weight in model.trainable_weights)

    model.compute_loss(successors(), training=True)

    assert sorted(tuple(weight.shape) for weight in model.trainable_weights) == shapes
    assert len(shapes) > 10


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_learns_and_compares_float32(
    precision: None, template: type[Sequential], policy: str
) -> None:
    tf_keras.mixed_precision.set_global_policy(policy)
    model = make(template, INPUTS)

    losses = fit(model, successors(), precision=policy)

    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]
    assert embed(model, [[1]]).dtype == items_of(model).dtype == np.float32


def test_rows_that_no_example_has_become_unlikely() -> None:
    model = make(SASRec, INPUTS, dropout=0.0)
    fit(model, successors(), steps=120)

    unknown = model.embed_item({"sku": tf.constant([ITEMS], tf.int64)}).numpy()
    histories = [[start] for start in range(ITEMS)]

    assert (embed(model, histories) @ unknown.T).max() < -0.5


def test_an_encoder_of_ones_own_takes_the_place_of_the_transformer() -> None:
    class Recurrent(Sequential):
        def encoder(self) -> tf_keras.layers.Layer:
            return GRU(self.embedding_dim)

    class GRU(tf_keras.layers.Layer):
        def __init__(self, dim: int) -> None:
            super().__init__()
            self._gru = tf_keras.layers.GRU(dim, return_sequences=True)

        def call(self, values: tf.Tensor, lengths: tf.Tensor, training: bool = False) -> tf.Tensor:
            return self._gru(values)

    losses = fit(make(Recurrent, INPUTS, loss="softmax"), successors(), steps=80)

    assert losses[-1] < 0.8 * losses[0]


def refusal(inputs: object = INPUTS, **settings: object) -> str:
    with pytest.raises(UserError) as caught:
        make(SASRec, inputs, **settings)
    return str(caught.value)


def test_settings_that_do_not_fit_are_refused_by_name() -> None:
    assert "model.history: 'shopper'" in refusal(history="shopper")
    assert "add one to features" in refusal(inputs_of({k: HISTORY[k] for k in ("shopper", "sku")}))
    assert "model.heads: 3 does not divide the 8 floats" in refusal(heads=3)
    assert "model.embedding_dim: 16 is not the 8 floats" in refusal(embedding_dim=16)


def test_rows_that_are_given_out_in_training_are_refused() -> None:
    sku = {**HISTORY["sku"], "lookup": "dynamic", "rows": ITEMS}
    tables = {**TABLES, "sku": Table(ITEMS + 1, 8, 1, Dynamic())}

    assert "features.sku.lookup: dynamic" in refusal(inputs_of({**HISTORY, "sku": sku}, tables))
