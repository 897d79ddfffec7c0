"""A small two-tower model without any data, and batches for it."""

from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from tfrec.config import validate
from tfrec.embeddings.groups import group_tables
from tfrec.features import FeatureSpec
from tfrec.features.parsing import ITEM_ROW, TIME, WEIGHT
from tfrec.features.plan import Table
from tfrec.models import ModelInputs, TwoTower
from tfrec.training.config import Optimizers

SHOPPERS, ITEMS = 30, 24
TABLES = {
    "shopper": Table(SHOPPERS + 2, 8, unknown_rows=2),
    "sku": Table(ITEMS + 1, 8, unknown_rows=1),
    "aisle": Table(4, 4, unknown_rows=1),
    "channel": Table(3, 4, unknown_rows=1),
}

Batch = dict[str, tf.Tensor | tf.RaggedTensor]


def spec(unknown_share: float = 0.0) -> FeatureSpec:
    category = {"kind": "categorical", "embedding": 8, "unknown_share": unknown_share}
    small = {**category, "embedding": 4}
    features = {
        "shopper": {"role": "user", **category, "unknown_rows": 2},
        "recent": {"role": "user", "kind": "sequence", "of": "sku", "last": 5},
        "sku": {"role": "item", **category},
        "aisle": {"role": "item", **small},
        "channel": {"role": "context", **small},
    }
    return validate(FeatureSpec, features)


def model_inputs(optimizers: Optimizers | None = None, unknown_share: float = 0.0) -> ModelInputs:
    share = np.arange(1, ITEMS + 1, dtype=np.float32)
    groups = group_tables(TABLES, (optimizers or Optimizers()).of_table)
    return ModelInputs(spec(unknown_share), TABLES, groups, share / share.sum())


def make_model(
    template: type[TwoTower] = TwoTower,
    optimizers: Optimizers | None = None,
    unknown_share: float = 0.0,
    **settings: Any,
) -> TwoTower:
    """Makes a model with initial values that are always the same."""
    tf_keras.utils.set_random_seed(0)
    made = template.Settings(**{"embedding_dim": 8, **settings})
    model = template(model_inputs(optimizers, unknown_share), made)
    model.make_variables()
    return model


def make_batch(size: int, seed: int = 0) -> Batch:
    """Makes shoppers who each buy one of two items, some of them more important than others."""
    random = np.random.default_rng(seed)
    shopper = random.integers(SHOPPERS, size=size)
    item = 2 * shopper % ITEMS + random.integers(2, size=size)
    columns = {
        "shopper": shopper,
        "sku": item,
        "aisle": item % 3,
        "channel": random.integers(2, size=size),
        ITEM_ROW: item,
        TIME: np.full(size, 1_600_000_000 + seed),
    }
    lengths = random.integers(6, size=size)
    recent = tf.RaggedTensor.from_row_lengths(
        tf.constant(random.integers(ITEMS, size=lengths.sum())), tf.constant(lengths)
    )
    weights = tf.constant(random.uniform(0, 3, size), tf.float32)
    tensors = {name: tf.constant(values) for name, values in columns.items()}
    return {**tensors, "recent": recent, WEIGHT: weights}
