from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform as tft
import tf_keras

from tfrec.data.input_pipeline import read_serialized
from tfrec.data.prepared import PreparedData
from tfrec.embeddings.groups import group_tables
from tfrec.features import FeatureSpec
from tfrec.features.plan import embedding_plan
from tfrec.models import ModelInputs, TwoTower
from tfrec.models.signatures import save_retrieval_model
from tfrec.training.config import Optimizers


@pytest.fixture(scope="module")
def model(prepared: PreparedData, spec: FeatureSpec) -> TwoTower:
    tf_keras.utils.set_random_seed(0)
    transform = tft.TFTransformOutput(str(prepared.transform))
    share = np.full(120, 1 / 120, np.float32)
    tables = embedding_plan(spec, transform)
    inputs = ModelInputs(spec, tables, group_tables(tables, Optimizers().of_table), share)
    model = TwoTower(inputs, TwoTower.Settings(embedding_dim=4))
    model.make_variables()
    return model


@pytest.fixture(scope="module")
def saved(
    model: TwoTower, prepared: PreparedData, tmp_path_factory: pytest.TempPathFactory
) -> tf.Module:
    path: Path = tmp_path_factory.mktemp("saved") / "model"
    save_retrieval_model(model, tft.TFTransformOutput(str(prepared.transform)), path)
    return tf.saved_model.load(str(path))


def test_query_is_embedded_from_raw_features_as_the_model_embeds_transformed_ones(
    saved: tf.Module, model: TwoTower, prepared: PreparedData
) -> None:
    transform = tft.TFTransformOutput(str(prepared.transform))

    def row(name: str, value: str) -> int:
        return transform.vocabulary_by_name(name).index(value.encode())

    vectors = saved.signatures["embed_query"](
        shopper=tf.constant(["user-3", "nobody"]),
        recent=tf.constant([["sku-000", "sku-004"], ["", ""]]),
        channel=tf.constant(["app", ""]),
        weekday=tf.constant(["Monday", "Sunday"]),
    )["embedding"]

    recent = [[row("sku", "sku-000"), row("sku", "sku-004")], []]
    expected = model.embed_query(
        {
            "shopper": tf.constant([row("shopper", "user-3"), 40], tf.int64),
            "recent": tf.ragged.constant(recent, tf.int64),
            "channel": tf.constant([row("channel", "app"), 2], tf.int64),
            "weekday": tf.constant([row("weekday", "Monday"), row("weekday", "Sunday")], tf.int64),
        }
    )
    np.testing.assert_allclose(vectors, expected, rtol=1e-5)


def test_item_is_embedded_alike_from_raw_features_and_from_prepared_examples(
    saved: tf.Module, prepared: PreparedData
) -> None:
    (examples,) = read_serialized(prepared.items)
    raw = {
        "sku": tf.constant([f"sku-{row:03d}" for row in range(120)]),
        "aisle": tf.constant([f"aisle-{row % 6}" for row in range(120)]),
    }

    from_examples = saved.signatures["embed_item_examples"](examples=examples)["embedding"]
    from_raw = saved.signatures["embed_item"](**raw)["embedding"]

    assert from_raw.shape == (120, 4)
    np.testing.assert_allclose(from_examples, from_raw, rtol=1e-5)
    np.testing.assert_allclose(
        from_raw[118],
        saved.signatures["embed_item"](
            sku=tf.constant(["never heard of"]), aisle=tf.constant(["aisle-4"])
        )["embedding"][0],
        rtol=1e-5,
    )
