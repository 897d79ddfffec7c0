"""Retrieval templates without any data, and what their tests do with them."""

from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from tfrec.config import validate
from tfrec.embeddings.groups import group_tables
from tfrec.features import FeatureSpec
from tfrec.features.parsing import ITEM_ROW, TIME, WEIGHT
from tfrec.features.plan import Table
from tfrec.models import ModelInputs, RetrievalTemplate
from tfrec.training.config import Optimizers, TrainingConfig
from tfrec.training.step import make_step

SHOPPERS, ITEMS, LAST = 6, 12, 8

Batch = dict[str, tf.Tensor | tf.RaggedTensor]
Content = dict[str, dict[str, Any]]

_CATEGORY = {"kind": "categorical", "embedding": 8, "unknown_share": 0}
IDS: Content = {
    "shopper": {"role": "user", **_CATEGORY},
    "sku": {"role": "item", **_CATEGORY},
}
HISTORY: Content = {
    **IDS,
    "recent": {"role": "user", "kind": "sequence", "of": "sku", "last": LAST},
}
_ADAM = {"kind": "lazy_adam", "learning_rate": 0.02}
_OPTIMIZERS = validate(Optimizers, {"tables": _ADAM, "dense": _ADAM})
TABLES = {"shopper": Table(SHOPPERS + 1, 8, 1), "sku": Table(ITEMS + 1, 8, 1)}


def inputs_of(content: Content, tables: dict[str, Table] | None = None, **more: Any) -> ModelInputs:
    """What a template is told about data with some features; each item is as popular."""
    tables = tables or TABLES
    share = np.full(ITEMS, 1 / ITEMS, np.float32)
    groups = group_tables(tables, _OPTIMIZERS.of_table)
    return ModelInputs(validate(FeatureSpec, content), tables, groups, share, **more)


def make(
    template: type[RetrievalTemplate], inputs: ModelInputs, **settings: Any
) -> RetrievalTemplate:
    """Makes a template, with initial values that are always the same, and its variables."""
    tf_keras.utils.set_random_seed(0)
    model = template(inputs, validate(template.Settings, settings))
    model.make_variables()
    return model


def batch_of(
    shopper: np.ndarray, item: np.ndarray, histories: list[list[int]] | None = None, **more: Any
) -> Batch:
    """Transformed Examples of `[batch]` shoppers and items."""
    columns = {"shopper": shopper, "sku": item, ITEM_ROW: item, TIME: np.zeros_like(item), **more}
    batch = {name: tf.constant(values) for name, values in columns.items()}
    if histories is not None:
        batch["recent"] = tf.ragged.constant(histories, tf.int64, row_splits_dtype=tf.int64)
    return {**batch, WEIGHT: tf.ones([len(item)])}


def fit(model: RetrievalTemplate, batch: Batch, steps: int = 40, **training: Any) -> list[float]:
    """Trains on one batch in ever new order; returns the loss of each quarter of the steps."""
    config = TrainingConfig(strategy="single", optimizers=_OPTIMIZERS, **training)
    step = make_step(model, config)
    batches = tf.data.Dataset.range(steps).map(lambda number: _shuffled(batch, number))
    return step.fit(batches, steps_per_epoch=steps // 4, epochs=4, verbose=0).history["loss"]


def scores(model: RetrievalTemplate, queries: Batch, items: Batch) -> np.ndarray:
    """Scores items for queries: `[queries, items]`."""
    return model.embed_query(queries).numpy() @ model.embed_item(items).numpy().T


def _shuffled(batch: Batch, number: tf.Tensor) -> Batch:
    rows = tf.range(batch[WEIGHT].shape[0])
    order = tf.random.experimental.stateless_shuffle(rows, [0, number])
    return {name: tf.gather(column, order) for name, column in batch.items()}
