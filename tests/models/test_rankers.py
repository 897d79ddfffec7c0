"""What every ranking template does, and what is special to each."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform as tft
import tf_keras
from toy_ranker import CATEGORY, ITEMS, WIDTH, Batch, fit, make_batch, make_ranker, step_of

from tfrec.config import validate
from tfrec.data.input_pipeline import read_serialized
from tfrec.data.prepared import TRAIN, PreparedData
from tfrec.embeddings.groups import group_tables
from tfrec.embeddings.optimizers.distinct import DistinctRows
from tfrec.errors import UserError
from tfrec.features import FeatureSpec
from tfrec.features.parsing import LABEL, WEIGHT, parsing_spec, task_label
from tfrec.features.plan import embedding_plan
from tfrec.layers import Joined, mlp
from tfrec.models import (
    BST,
    DIN,
    DLRM,
    DNN,
    ESMM,
    PLE,
    DCNv2,
    DeepFM,
    MMoE,
    ModelInputs,
    NeuMF,
    RankingTemplate,
    SharedBottom,
    Uplift,
    WideAndDeep,
)
from tfrec.models.catalogue_features import CatalogueFeatures
from tfrec.models.signatures import save_ranking_model
from tfrec.models.wide_and_deep import CROSSES
from tfrec.training.config import Optimizers

IDS = {"user": "shopper", "item": "sku"}
TASKS = {"tasks": {"click": 1.0, "conversion": 0.5}}
KINDS: dict[str, tuple[type[RankingTemplate], dict[str, Any]]] = {
    "dnn": (DNN, {}),
    "neu_mf": (NeuMF, IDS),
    "wide_and_deep": (WideAndDeep, {"crosses": [("shopper", "sku")], "cross_rows": 5000}),
    "deep_fm": (DeepFM, {}),
    "dcn_full": (DCNv2, {"cross_layers": 2}),
    "dcn_low_rank": (DCNv2, {"low_rank": 8, "structure": "parallel"}),
    "dlrm": (DLRM, {"bottom": (4,)}),
    "din": (DIN, {"attention": (8,)}),
    "bst": (BST, {}),
    "shared_bottom": (SharedBottom, TASKS),
    "mmoe": (MMoE, TASKS),
    "ple": (PLE, TASKS),
    "esmm": (ESMM, {}),
    "uplift": (Uplift, {"treatment": "offered"}),
}
every_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture
def precision() -> Iterator[None]:
    """Takes back the policy that a test sets."""
    before = tf_keras.mixed_precision.global_policy()
    yield
    tf_keras.mixed_precision.set_global_policy(before)


def make(kind: str, **changes: Any) -> RankingTemplate:
    template, settings = KINDS[kind]
    return make_ranker(template, **{**settings, **changes})


def inputs_of(model: RankingTemplate, batch: Batch) -> Batch:
    return {name: batch[name] for name in (*model.query_features, *model.item_features)}


@every_kind
def test_all_variables_are_made_before_the_first_batch(kind: str) -> None:
    model, batch = make(kind), make_batch()
    before = [weight.name for weight in model.weights]

    model.compute_loss(batch, training=True)

    assert [weight.name for weight in model.weights] == before


@every_kind
def test_a_step_sends_sparse_gradients_to_tables_and_moves_every_weight(kind: str) -> None:
    model = make(kind)
    step, batch = step_of(model), make_batch()
    before = {id(weight): weight.numpy() for weight in model.trainable_weights}

    _, gradients = step._gradients(batch)
    for _ in range(3):
        tf.function(step.train_step, autograph=False)(batch)

    tables = {id(s) for table in model.embedding.group_tables.values() for s in table.shards}
    for weight, gradient in zip(model.trainable_variables, gradients, strict=True):
        assert isinstance(gradient, DistinctRows) == (id(weight) in tables), weight.name
    # What is added to the logits of a softmax alike may stay; all else moves.
    still = [w.name for w in model.trainable_weights if (w.numpy() == before[id(w)]).all()]
    assert [name for name in still if "key/bias" not in name] == []


@every_kind
def test_loss_falls_on_what_no_single_feature_tells(kind: str) -> None:
    losses = fit(make(kind), make_batch(), steps=120)

    assert np.isfinite(losses).all()
    assert losses[-1] < 0.5 * losses[0]


def test_a_linear_model_does_not_learn_it() -> None:
    class Linear(DNN):
        def network(self) -> tf_keras.Model:
            return mlp([], output_dim=4)

    losses = fit(make_ranker(Linear), make_batch(size=2000), steps=120)

    assert losses[-1] > 0.6


@every_kind
@pytest.mark.parametrize("name", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_learns_and_predicts_float32(precision: None, kind: str, name: str) -> None:
    tf_keras.mixed_precision.set_global_policy(name)
    model, batch = make(kind), make_batch()
    step = step_of(model, precision=name)
    train = tf.function(step.train_step, autograph=False)

    losses = [float(train(batch)["loss"]) for _ in range(15)]

    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]
    assert {output.dtype for output in model.rank(batch).values()} == {tf.float32}


@every_kind
def test_predictions_are_an_examples_own(kind: str) -> None:
    model, batch = make(kind), inputs_of(make(kind), make_batch())
    together = model.rank(batch)

    for row in (0, 1, int(np.argmin(batch["recent"].row_lengths()))):
        alone = model.rank({name: column[row : row + 1] for name, column in batch.items()})
        for task, prediction in together.items():
            assert float(alone[task][0]) == pytest.approx(float(prediction[row]), abs=1e-5)


@every_kind
def test_what_is_measured_by_labels_is_predicted(kind: str) -> None:
    model, batch = make(kind), make_batch()

    assert model.measured.keys() <= model.rank(batch).keys()
    assert bool(model.measured) == (kind != "uplift")


@every_kind
def test_a_batch_of_empty_histories_is_ranked(kind: str) -> None:
    batch = make_batch(5)
    empty = tf.RaggedTensor.from_row_lengths(tf.zeros([0], tf.int64), [0] * 5)

    predictions = make(kind).rank({**batch, "recent": empty})

    assert all(np.isfinite(values).all() for values in predictions.values())


@pytest.mark.parametrize("kind", ["dnn", "neu_mf", "deep_fm", "dlrm", "din", "wide_and_deep"])
def test_a_rating_is_learned_by_squared_error(kind: str) -> None:
    batch = make_batch()
    model = make(kind, label="stars")

    fit(model, batch, steps=240)

    errors = model.rank(batch)["stars"] - batch["stars"]
    assert float(tf.reduce_mean(tf.square(errors))) < 1  # that of a constant is above 2


class OwnNetwork(DeepFM):
    """Another network, by one method."""

    def network(self) -> tf_keras.Model:
        return mlp([5, 3])


def test_a_subclass_of_one_method_trains() -> None:
    model = make_ranker(OwnNetwork)

    assert (5, 3) in {tuple(weight.shape) for weight in model.trainable_weights}
    losses = fit(model, make_batch())
    assert losses[-1] < losses[0]


def test_dnn_equals_a_plain_recomputation() -> None:
    model, batch = make("dnn"), make_batch()
    embedded = model.embed(batch)
    x = np.concatenate([embedded[name] for name in sorted(embedded)], -1)
    kernel, bias, last, last_bias = [w.numpy() for w in model.trainable_weights if "dense" in
                                     w.name or "taken" in w.name]  # fmt: skip

    logits = np.maximum(x @ kernel + bias, 0) @ last + last_bias

    np.testing.assert_allclose(model.rank(batch)["taken"], 1 / (1 + np.exp(-logits[:, 0])), 1e-4)


class _Cut(tf_keras.layers.Layer):
    """A network that says nothing."""

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        return inputs[:, :1] * 0


def test_deep_fm_without_a_network_is_a_factorisation_machine() -> None:
    class Machine(DeepFM):
        def network(self) -> tf_keras.layers.Layer:
            return _Cut()

    model, batch = make_ranker(Machine, {"price": None, "image": None}), make_batch()
    rows = {name: row.numpy() for name, row in model.embed(batch).items()}

    outputs = model.head_outputs(batch)["taken"]

    names = list(rows)
    expected = sum(rows[name][:, 0] for name in names)
    for first, one in enumerate(names):
        for other in names[first + 1 :]:
            expected = expected + (rows[one][:, 1:] * rows[other][:, 1:]).sum(-1)
    np.testing.assert_allclose(outputs, expected, atol=1e-6)


def test_neu_mf_multiplies_the_first_halves_and_gives_the_network_the_rest() -> None:
    model, batch = make("neu_mf"), make_batch()
    embedded = model.embed(batch)
    shopper, sku = embedded["shopper"].numpy(), embedded["sku"].numpy()

    joined = model._interaction(embedded).numpy()

    half = WIDTH // 2
    np.testing.assert_allclose(joined[:, :half], shopper[:, :half] * sku[:, :half], rtol=1e-5)
    rest = {**embedded, "shopper": shopper[:, half:], "sku": sku[:, half:]}
    deep = model._interaction._network(Joined()(rest))
    np.testing.assert_allclose(joined[:, half:], deep, rtol=1e-5)


def test_crosses_alone_learn_pairs_that_a_linear_model_cannot() -> None:
    class Wide(WideAndDeep):
        def network(self) -> tf_keras.layers.Layer:
            return _Cut()

    batch = make_batch(500)

    plain = fit(make_ranker(Wide), batch, steps=200)
    crossed = fit(make_ranker(Wide, crosses=[("shopper", "sku")]), batch, steps=200)

    assert plain[-1] > 0.6
    assert crossed[-1] < 0.5 * plain[-1]


def test_each_pair_of_a_cross_has_a_weight_of_its_own() -> None:
    model = make("wide_and_deep", crosses=[("shopper", "sku"), ("sku", "shopper")])
    pairs = [[shopper, sku] for shopper in range(8) for sku in range(12)]
    shopper, sku = tf.transpose(tf.constant(pairs, tf.int64))

    one = model._crossed({"shopper": shopper, "sku": sku})

    assert model.embedding.group_tables[CROSSES].rows == 5000
    assert len(np.unique(one)) > 0.95 * len(pairs)


def test_a_history_that_holds_the_item_is_found_by_din() -> None:
    random = np.random.default_rng(0)
    batch = make_batch(400)
    history, sku = random.integers(ITEMS, size=[400, 3]), batch["sku"].numpy()
    history[::2, 1] = sku[::2]
    batch["recent"] = tf.RaggedTensor.from_tensor(tf.constant(history))
    batch[LABEL] = tf.constant((history == sku[:, None]).any(1), tf.int64)

    losses = fit(make("din"), batch, steps=300)

    assert losses[-1] < 0.35


@pytest.mark.parametrize("kind", ["din", "bst"])
def test_history_and_item_share_a_table(kind: str) -> None:
    model, batch = make(kind), make_batch()
    with tf.GradientTape() as tape:
        outputs = model.head_outputs({**batch, "sku": tf.zeros_like(batch["sku"])})
        total = tf.reduce_sum(outputs["taken"])
    (table,) = [group.shards[0] for group in model.embedding.group_tables.values()]

    moved = set(tape.gradient(total, table).indices.numpy())

    (group,) = model.embedding.groups
    assert set(group.place("sku", batch["recent"].flat_values).numpy()) <= moved
    assert int(group.place("sku", tf.constant(0, tf.int64))) in moved


def test_bst_takes_the_latest_of_a_history_that_is_too_long() -> None:
    model, batch = make("bst"), make_batch(1)

    long = tf.ragged.constant([[7, 1, 2, 3, 4]], dtype=tf.int64)
    latest = tf.ragged.constant([[1, 2, 3, 4]], dtype=tf.int64)
    first = tf.ragged.constant([[7, 1, 2, 3]], dtype=tf.int64)
    ranked = [
        float(model.rank({**batch, "recent": lists})["taken"][0]) for lists in (long, latest, first)
    ]

    assert ranked[0] == pytest.approx(ranked[1], abs=1e-7)
    assert ranked[0] != pytest.approx(ranked[2], abs=1e-6)


def test_bst_knows_the_order_of_a_history() -> None:
    model, batch = make("bst"), make_batch(1)

    ranked = [
        float(model.rank({**batch, "recent": tf.ragged.constant([lists], dtype=tf.int64)})["taken"])
        for lists in ([1, 2, 3], [3, 2, 1])
    ]

    assert ranked[0] != pytest.approx(ranked[1], abs=1e-6)


REFUSED: list[tuple[type[RankingTemplate], dict, dict, str]] = [
    (NeuMF, {**IDS, "user": "sku"}, {}, "model.user: 'sku' is no categorical feature of role user"),
    (NeuMF, {**IDS, "item": "price"}, {}, "model.item: 'price' is no .*those are sku, aisle"),
    (NeuMF, IDS, {"sku": {"role": "item", **CATEGORY, "embedding": 6}},
     "shopper has 8 .*sku has 6"),
    (WideAndDeep, {"crosses": [("sku", "price")]}, {}, "model.crosses: 'price' is no categorical"),
    (DLRM, {}, {"aisle": {"role": "item", **CATEGORY, "embedding": 4}},
     "DLRM needs .* one embedding width.*aisle has 4.*embedding: 8"),
    (DeepFM, {}, {"channel": {"role": "context", **CATEGORY, "embedding": 2}}, "channel has 2"),
    (DCNv2, {"low_rank": 40}, {}, "model.low_rank: 40 costs no less"),
    (DIN, {}, {"recent": None}, "DIN compares .*kind sequence"),
    (BST, {"heads": 3}, {}, "model.heads: 3 do not divide the 8 floats of sku"),
    (MMoE, {}, {}, "model.tasks"),
    (MMoE, {**TASKS, "label": "stars"}, {}, "label: tasks say what is predicted"),
    (MMoE, {"tasks": {"click": 0}}, {}, "model.tasks.click"),
    (ESMM, {"tasks": {"click": 1, "sale": 1}}, {}, "click, sale are not .*'conversion'"),
    (Uplift, {"treatment": "channel"}, {}, "model.treatment: 'channel' is no numeric feature"),
    (Uplift, {"treatment": "offered"},
     {"offered": {"role": "context", "kind": "numeric"}}, "transform standardise"),
    (DNN, {"hidden": ()}, {}, "model.hidden"),
    (DNN, {"dropout": 1.0}, {}, "model.dropout"),
]  # fmt: skip


@pytest.mark.parametrize(("template", "settings", "changes", "message"), REFUSED)
def test_bad_settings_are_refused_by_name(
    template: type[RankingTemplate], settings: dict, changes: dict, message: str
) -> None:
    with pytest.raises(UserError) as refused:
        make_ranker(template, changes, **settings)

    assert re.search(message, str(refused.value)), refused.value
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("kind", ["shared_bottom", "mmoe", "ple"])
def test_tasks_weigh_in_the_loss(kind: str) -> None:
    model, batch = make(kind, tasks={"click": 2.0, "conversion": 0.25}), make_batch()
    assert model.labels(model.settings) == (task_label("click"), task_label("conversion"))

    loss = float(model.compute_loss(batch))

    expected = 0.0
    for task, weight in model.settings.tasks.items():
        taken, p = batch[task_label(task)].numpy(), model.rank(batch)[task].numpy()
        expected -= weight * np.mean(np.where(taken == 1, np.log(p), np.log(1 - p)))
    assert loss == pytest.approx(expected, rel=1e-5)


def test_esmm_predicts_the_product_and_learns_from_all_impressions() -> None:
    model, batch = make("esmm"), make_batch()
    batch[task_label("conversion")] = tf.ones_like(batch[LABEL])  # some without a click
    known = model._interaction(model.embed(batch))
    click, after = (
        1 / (1 + np.exp(-model._heads[task](known[task])[:, 0].numpy()))
        for task in ("click", "conversion")
    )

    predicted, loss = model.rank(batch), float(model.compute_loss(batch))

    np.testing.assert_allclose(predicted["click"], click, rtol=1e-5)
    np.testing.assert_allclose(predicted["conversion"], click * after, rtol=1e-5)
    clicked = batch[LABEL].numpy() == 1
    expected = sum(-np.mean(np.log(np.where(clicked, p, 1 - p))) for p in (click, click * after))
    assert loss == pytest.approx(expected, rel=1e-5)


def test_tasks_at_odds_are_both_learned_by_gates() -> None:
    batch = make_batch(300)
    batch[task_label("conversion")] = 1 - batch[LABEL]

    for kind in ("mmoe", "ple"):
        assert fit(make(kind), batch, steps=160)[-1] < 0.3, kind


def test_uplift_is_the_difference_of_the_arms_and_finds_an_effect() -> None:
    random = np.random.default_rng(0)
    batch = make_batch(3000)
    sku, offered = batch["sku"].numpy(), batch["offered"].numpy()
    chance = 0.2 + 0.6 * offered * (sku < 6)  # an offer works for half of the items only
    batch[LABEL] = tf.constant(random.random(3000) < chance, tf.int64)
    model = make("uplift", hidden=(), tower=(8,))

    fit(model, batch, steps=160)
    ranked = {name: values.numpy() for name, values in model.rank(batch).items()}

    assert list(ranked) == ["uplift", "treated", "control"]
    np.testing.assert_allclose(ranked["uplift"], ranked["treated"] - ranked["control"])
    assert ranked["uplift"][sku < 6].mean() == pytest.approx(0.6, abs=0.1)
    assert ranked["uplift"][sku >= 6].mean() == pytest.approx(0, abs=0.1)


@pytest.mark.parametrize(("offered", "arm"), [(1.0, "treated"), (0.0, "control")])
def test_only_the_observed_arm_learns(offered: float, arm: str) -> None:
    model, batch = make("uplift"), make_batch()
    batch["offered"] = tf.fill([96], offered)
    towers = model._heads
    weights = {name: tower.trainable_weights for name, tower in towers.items()}
    with tf.GradientTape() as tape:
        loss = model.compute_loss(batch)

    slopes = tape.gradient(loss, weights)

    for name, own in slopes.items():
        moves = any(np.abs(slope).max() > 0 for slope in own)
        assert moves == (name == arm)


def test_a_treatment_among_the_inputs_changes_no_prediction() -> None:
    feature = {"role": "context", "kind": "numeric", "transform": "none"}
    model = make_ranker(Uplift, {"offered": feature}, treatment="offered")
    batch = make_batch()

    one, other = (
        model.rank({**batch, "offered": tf.fill([96], offered)}) for offered in (0.0, 1.0)
    )

    np.testing.assert_array_equal(one["uplift"], other["uplift"])


def test_weights_of_nothing_give_no_loss() -> None:
    for kind in KINDS:
        batch = {**make_batch(), WEIGHT: tf.zeros(96)}
        assert float(make(kind).compute_loss(batch)) == 0


SHOP_SETTINGS: dict[str, dict[str, Any]] = {
    "wide_and_deep": {"crosses": [("shopper", "sku")]},
    "din": {},
    "bst": {},
    "ple": TASKS,
    "esmm": {},
}


@pytest.mark.parametrize("kind", SHOP_SETTINGS)
def test_saved_rankers_rank_prepared_examples_as_they_do_themselves(
    kind: str, prepared: PreparedData, spec: FeatureSpec, tmp_path: Path
) -> None:
    transform = tft.TFTransformOutput(str(prepared.transform))
    tables = embedding_plan(spec, transform)
    groups = group_tables(tables, Optimizers().of_table)
    template = KINDS[kind][0]
    settings = validate(template.Settings, SHOP_SETTINGS[kind], "model")
    model = template(ModelInputs(spec, tables, groups, np.full(120, 1 / 120, np.float32)), settings)
    model.make_variables()
    names = [*model.query_features, *model.item_features]
    serialized = next(iter(read_serialized(prepared.examples(TRAIN), 50)))

    catalogue = CatalogueFeatures(spec, model.item_features, prepared)
    save_ranking_model(model, transform, catalogue, tmp_path / "model")
    saved = tf.saved_model.load(str(tmp_path / "model"))

    found = saved.signatures["rank_examples"](examples=serialized)
    expected = model.rank(tf.io.parse_example(serialized, parsing_spec(spec, names)))
    assert found.keys() == expected.keys()
    for task, predictions in expected.items():
        np.testing.assert_allclose(found[task], predictions, rtol=1e-4)
