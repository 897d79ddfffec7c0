"""What every retrieval template does, from one step of training to the saved model."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform as tft
import tf_keras
from retrieval_toys import HISTORY, IDS, Batch, batch_of, inputs_of, make

from tfrec.data.input_pipeline import read_examples, read_serialized
from tfrec.data.prepared import TRAIN, PreparedData
from tfrec.embeddings.groups import group_tables
from tfrec.features import FeatureSpec
from tfrec.features.plan import embedding_plan
from tfrec.models import (
    HSTU,
    GSASRec,
    MatrixFactorization,
    ModelInputs,
    RetrievalTemplate,
    SASRec,
    SequenceTower,
)
from tfrec.models.signatures import save_retrieval_model
from tfrec.training.config import Optimizers, TrainingConfig
from tfrec.training.step import make_step

SETTINGS: list[tuple[type[RetrievalTemplate], dict[str, Any]]] = [
    (MatrixFactorization, {}),
    (MatrixFactorization, {"loss": "bpr", "item_bias": True}),
    (MatrixFactorization, {"loss": "squared", "label": "rating"}),
    (SequenceTower, {"hidden": [32]}),
    (SASRec, {}),
    (GSASRec, {"negatives": 5}),
    (HSTU, {"negatives": 5}),
]
RATING = {"rating": {"role": "label", "kind": "numeric"}}


def batch() -> Batch:
    random = np.random.default_rng(0)
    histories = [random.integers(12, size=size).tolist() for size in (3, 0, 8, 1)]
    rating = np.array([1, 5, 3, 4], np.float32)
    return batch_of(np.array([0, 1, 2, 0]), np.array([3, 4, 3, 11]), histories, rating=rating)


@pytest.fixture(params=["float32", "mixed_bfloat16", "mixed_float16"])
def precision(request: pytest.FixtureRequest) -> Iterator[str]:
    before = tf_keras.mixed_precision.global_policy()
    tf_keras.mixed_precision.set_global_policy(request.param)
    yield request.param
    tf_keras.mixed_precision.set_global_policy(before)


@pytest.mark.parametrize(("template", "settings"), SETTINGS)
def test_one_step_moves_the_rows_of_its_batch_and_no_others(
    precision: str, template: type[RetrievalTemplate], settings: dict[str, Any]
) -> None:
    features = IDS if template is MatrixFactorization else HISTORY
    model = make(template, inputs_of({**features, **RATING}), **settings)
    config = TrainingConfig.model_validate({"strategy": "single", "precision": precision})
    step = make_step(model, config)
    (group,) = model.embedding.groups
    (table,) = model.embedding.group_tables[group.name].shards
    if precision == "mixed_float16":
        # From the scale it begins with, the first step may overflow, and would be left out.
        step.optimizer._loss_scale.current_loss_scale.assign(64.0)
    before = table.numpy()

    loss = float(tf.function(step.train_step, autograph=False)(batch())["loss"])

    assert np.isfinite(loss)
    moved = (table.numpy() != before).any(axis=1)
    shoppers = np.flatnonzero(moved[group.place("shopper", tf.range(7, dtype=tf.int64))])
    reads_shoppers = template in (MatrixFactorization, SequenceTower)
    assert shoppers.tolist() == ([0, 1, 2] if reads_shoppers else [])
    assert moved[group.place("sku", tf.constant([3, 4, 11], tf.int64))].all()
    assert model.embed_query(batch()).dtype == model.embed_item(batch()).dtype == tf.float32


@pytest.mark.parametrize("template", [SASRec, HSTU, SequenceTower])
def test_saved_model_embeds_raw_histories_as_the_model_does(
    prepared: PreparedData, spec: FeatureSpec, template: type[RetrievalTemplate], tmp_path: Path
) -> None:
    transform = tft.TFTransformOutput(str(prepared.transform))
    tables = embedding_plan(spec, transform)
    groups = group_tables(tables, Optimizers().of_table)
    share = np.full(120, 1 / 120, np.float32)
    model = make(template, ModelInputs(spec, tables, groups, share))
    examples = next(iter(read_examples(prepared.examples(TRAIN), spec, 50)))
    assert np.isfinite(model.example_losses(examples, training=True)).all()
    sku = [name.decode() for name in transform.vocabulary_by_name("sku")]

    save_retrieval_model(model, transform, tmp_path / "saved")
    saved = tf.saved_model.load(str(tmp_path / "saved"))

    found = saved.signatures["embed_query"](
        shopper=tf.constant(["user-3", "user-3"]),
        recent=tf.constant([["sku-000", "sku-004", "sku-001"], ["sku-004", "", ""]]),
        channel=tf.constant(["app", "app"]),
        weekday=tf.constant(["Monday", "Monday"]),
    )["embedding"]
    recent = [[sku.index(f"sku-00{n}") for n in (0, 4, 1)], [sku.index("sku-004")]]
    rows = {
        name: transform.vocabulary_by_name(name).index(value)
        for name, value in (("shopper", b"user-3"), ("channel", b"app"), ("weekday", b"Monday"))
    }
    expected = model.embed_query(
        {
            **{name: tf.constant([row, row], tf.int64) for name, row in rows.items()},
            "recent": tf.ragged.constant(recent, tf.int64, row_splits_dtype=tf.int64),
        }
    )
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    (items,) = read_serialized(prepared.items)
    embedded = saved.signatures["embed_item_examples"](examples=items)["embedding"]
    assert embedded.shape == (120, model.embedding_dim)
