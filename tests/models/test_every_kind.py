"""A two-tower model of features of every kind: it trains, is saved, and takes raw features."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from every_kind import ROWS, Fitted, as_sent

from tfrec.embeddings.groups import group_tables
from tfrec.features import FeatureSpec
from tfrec.features.parsing import ITEM_ROW, TIME, WEIGHT, parsing_spec
from tfrec.features.plan import embedding_plan
from tfrec.models import ModelInputs, TwoTower
from tfrec.models.signatures import save_retrieval_model
from tfrec.training.config import TrainingConfig
from tfrec.training.step import make_step

EXAMPLES = len(ROWS["sku"])
ITEMS = 4

Batch = dict[str, tf.Tensor | tf.RaggedTensor]


@pytest.fixture(scope="module")
def examples(every_kind: FeatureSpec, fitted: Fitted) -> list[bytes]:
    """The rows as the training data hold them: each an Example, its item one of four."""
    rows = {**fitted.rows, ITEM_ROW: [[place % ITEMS] for place in range(EXAMPLES)]}
    parsing = parsing_spec(every_kind, list(fitted.rows))

    def feature(name: str, values: list) -> tf.train.Feature:
        if parsing[name].dtype == tf.int64:
            return tf.train.Feature(int64_list=tf.train.Int64List(value=values))
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))

    return [
        tf.train.Example(
            features=tf.train.Features(
                feature={name: feature(name, column[place]) for name, column in rows.items()}
            )
        ).SerializeToString()
        for place in range(EXAMPLES)
    ]


@pytest.fixture(scope="module")
def batch(every_kind: FeatureSpec, examples: list[bytes]) -> Batch:
    parsed = tf.io.parse_example(examples, parsing_spec(every_kind, every_kind.inputs))
    return {**parsed, WEIGHT: tf.ones([EXAMPLES]), TIME: tf.zeros([EXAMPLES], tf.int64)}


@pytest.fixture(scope="module")
def losses() -> list[float]:
    """The loss of each step of training, once `model` is made."""
    return []


@pytest.fixture(scope="module")
def model(every_kind: FeatureSpec, fitted: Fitted, batch: Batch, losses: list[float]) -> TwoTower:
    """A model after some steps of training."""
    tf_keras.utils.set_random_seed(0)
    tables = embedding_plan(every_kind, fitted.transform)
    share = np.full(ITEMS, 1 / ITEMS, np.float32)
    config = TrainingConfig(strategy="single")
    groups = group_tables(tables, config.optimizers.of_table)
    inputs = ModelInputs(every_kind, tables, groups, share)
    model = TwoTower(inputs, TwoTower.Settings(embedding_dim=8))
    model.make_variables()
    history = make_step(model, config).fit(
        tf.data.Dataset.from_tensors(batch), epochs=10, verbose=0
    )
    losses += history.history["loss"]
    return model


@pytest.fixture(scope="module")
def saved(model: TwoTower, fitted: Fitted, tmp_path_factory: pytest.TempPathFactory) -> tf.Module:
    path: Path = tmp_path_factory.mktemp("saved") / "model"
    save_retrieval_model(model, fitted.transform, path)
    return tf.saved_model.load(str(path))


def test_training_lowers_the_loss_and_changes_every_table(
    model: TwoTower, losses: list[float]
) -> None:
    assert np.isfinite(losses).all()
    assert losses[-1] < 0.7 * losses[0]
    for weight in model.trainable_weights:
        if "table" in weight.name:
            assert np.abs(weight).max() > 0.05, weight.name


def test_label_weight_and_time_are_no_inputs(model: TwoTower, saved: tf.Module) -> None:
    taken = {
        name
        for signature in ("embed_query", "embed_item")
        for name in saved.signatures[signature].structured_input_signature[1]
    }

    assert taken == {*model.query_features, *model.item_features}
    assert taken == set(ROWS) - {"bought", "importance", "at"}


@pytest.mark.parametrize("side", ["query", "item"])
def test_raw_features_are_embedded_as_their_examples_are(
    model: TwoTower, saved: tf.Module, batch: Batch, side: str
) -> None:
    names = getattr(model, f"{side}_features")
    raw = {name: as_sent(model.spec[name], ROWS[name]) for name in names}

    vectors = saved.signatures[f"embed_{side}"](**raw)["embedding"]

    expected = getattr(model, f"embed_{side}")(batch)
    assert vectors.shape == (EXAMPLES, 8)
    np.testing.assert_allclose(vectors, expected, rtol=1e-4, atol=1e-5)


def test_items_are_embedded_alike_from_their_examples(
    model: TwoTower, saved: tf.Module, batch: Batch, examples: list[bytes]
) -> None:
    vectors = saved.signatures["embed_item_examples"](examples=tf.constant(examples))["embedding"]

    np.testing.assert_allclose(vectors, model.embed_item(batch), rtol=1e-4, atol=1e-5)


def test_empty_places_within_a_list_count_for_nothing(model: TwoTower, saved: tf.Module) -> None:
    raw = {name: as_sent(model.spec[name], ROWS[name])[:1] for name in model.item_features}
    embed = saved.signatures["embed_item"]

    vectors = [
        embed(**{**raw, "tags": tf.constant([tags])})["embedding"]
        for tags in (["x", "y"], ["", "x", "", "y", ""])
    ]

    np.testing.assert_array_equal(*vectors)
