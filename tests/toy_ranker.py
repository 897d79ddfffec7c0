"""Small rankers without any data, and batches for them."""

from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from tfrec.config import validate
from tfrec.embeddings.groups import group_tables
from tfrec.features import FeatureSpec
from tfrec.features.parsing import ITEM_ROW, LABEL, TIME, WEIGHT, task_label
from tfrec.features.plan import Table
from tfrec.models import ModelInputs, RankingTemplate
from tfrec.training.config import TrainingConfig
from tfrec.training.step import TrainingStep, make_step

SHOPPERS, ITEMS = 8, 12
WIDTH = 8
CATEGORY = {"kind": "categorical", "embedding": WIDTH, "unknown_share": 0.0}
NUMBER = {"kind": "numeric", "transform": "none"}

FEATURES: dict[str, dict[str, Any]] = {
    "shopper": {"role": "user", **CATEGORY},
    "recent": {"role": "user", "kind": "sequence", "of": "sku", "last": 4},
    "sku": {"role": "item", **CATEGORY},
    "aisle": {"role": "item", **CATEGORY},
    "price": {"role": "item", **NUMBER},
    "image": {"role": "item", "kind": "vector", "dim": 3},
    "channel": {"role": "context", **CATEGORY},
    "stars": {"role": "label", **NUMBER},
    "offered": {"role": "label", **NUMBER},
}
ROWS = {"shopper": SHOPPERS, "sku": ITEMS, "aisle": 3, "channel": 2}
FAST = {kind: {"kind": "adagrad", "learning_rate": 0.1} for kind in ("tables", "dense")}

Batch = dict[str, tf.Tensor | tf.RaggedTensor]


def make_ranker(
    template: type[RankingTemplate],
    changes: dict[str, dict[str, Any] | None] | None = None,
    **settings: Any,
) -> RankingTemplate:
    """Makes a ranker with initial values that are always the same.

    Args:
      template: the class.
      changes: features in the place of others, or None to leave one out.
      settings: of the template.
    """
    tf_keras.utils.set_random_seed(0)
    content = {n: f for n, f in {**FEATURES, **(changes or {})}.items() if f is not None}
    spec = validate(FeatureSpec, content)
    tables = {
        name: Table(ROWS[name] + 1, spec.categories[name].embedding, 1)
        for name in ROWS
        if name in content
    }
    config = TrainingConfig(strategy="single", optimizers=FAST)
    groups = group_tables(tables, config.optimizers.of_table)
    share = np.full(ITEMS, 1 / ITEMS, np.float32)
    settings = {"hidden": (16,), **settings}
    made = validate(template.Settings, settings, "model")
    model = template(ModelInputs(spec, tables, groups, share), made)
    model.make_variables()
    return model


def step_of(model: RankingTemplate, precision: str = "float32") -> TrainingStep:
    config = TrainingConfig(strategy="single", optimizers=FAST, precision=precision)
    return make_step(model, config)


def fit(model: RankingTemplate, batch: Batch, steps: int = 60) -> list[float]:
    """Trains on one batch again and again; returns the loss of each quarter of the steps."""
    batches = tf.data.Dataset.from_tensors(batch).repeat()
    step = step_of(model)
    return step.fit(batches, steps_per_epoch=steps // 4, epochs=4, verbose=0).history["loss"]


def make_batch(size: int = 96, seed: int = 0) -> Batch:
    """Makes impressions; odd shoppers take even items and even ones odd items.

    Nothing that one feature tells says who takes what. Their other labels:
      - task `click` is what is taken, and `conversion` is a click on an item of the first half;
      - `stars` are 4 for what is taken, otherwise 1;
      - `offered` is random, and no feature is changed by it.
    """
    random = np.random.default_rng(seed)
    shopper, sku = random.integers(SHOPPERS, size=size), random.integers(ITEMS, size=size)
    taken = (shopper + sku) % 2
    lengths = random.integers(5, size=size)
    rows = {
        "shopper": shopper, "sku": sku, "aisle": sku % 3, "channel": random.integers(2, size=size),
        ITEM_ROW: sku, TIME: np.zeros(size, np.int64), LABEL: taken, task_label("click"): taken,
        task_label("conversion"): taken * (sku < ITEMS // 2),
    }  # fmt: skip
    numbers = {
        "price": random.normal(size=size), "image": random.normal(size=[size, 3]),
        "stars": 1 + 3 * taken, "offered": random.integers(2, size=size), WEIGHT: np.ones(size),
    }  # fmt: skip
    recent = tf.RaggedTensor.from_row_lengths(
        tf.constant(random.integers(ITEMS, size=lengths.sum())), tf.constant(lengths)
    )
    return {
        **{name: tf.constant(values, tf.int64) for name, values in rows.items()},
        **{name: tf.constant(values, tf.float32) for name, values in numbers.items()},
        "recent": recent,
    }
