"""An epoch of SASRec against the same network written in Keras with batches of fixed length.

Both sides have the same shoppers and events in memory, one negative for each place and Adam. The
last line is JSON; `ratio` is the template's time over that of plain Keras, at most 1.5 wanted.
"""

import tfrec  # noqa: F401  it sets TensorFlow's environment, so it comes first

# isort: split
import argparse
import json

import numpy as np
import tensorflow as tf
import tf_keras
from rates import Advance, measure_in_turns, median_rates

from tfrec.config import validate
from tfrec.embeddings.groups import group_tables
from tfrec.features import FeatureSpec
from tfrec.features.parsing import ITEM_ROW, TIME, WEIGHT
from tfrec.features.plan import Table
from tfrec.layers import CausalBlock
from tfrec.models import ModelInputs, SASRec
from tfrec.training.config import TrainingConfig
from tfrec.training.step import make_step

USERS, ITEMS, EVENTS = 6040, 3706, 1_000_000
LAST, DIM, BATCH, DROPOUT = 200, 64, 128, 0.2
ADAM = {"kind": "lazy_adam", "learning_rate": 0.001}


def main(quick: bool) -> None:
    """Measures both sides in turns and prints a line of JSON."""
    walks = make_walks()
    sides = {"tfrec": template_steps(walks), "keras": keras_steps(walks)}
    rates = measure_in_turns(sides, *((2, 3.0) if quick else (5, 8.0)))
    seconds = {f"{name}_epoch_seconds": USERS / rate for name, rate in median_rates(rates).items()}
    ratio = seconds["tfrec_epoch_seconds"] / seconds["keras_epoch_seconds"]
    print(json.dumps({**seconds, "ratio": ratio}))


def make_walks() -> list[np.ndarray]:
    """Rows of the items of each shopper, as many as are read, in lengths as uneven as real ones."""
    random = np.random.default_rng(0)
    lengths = random.lognormal(4.6, 1, USERS)
    lengths = np.clip(lengths * EVENTS / lengths.sum(), 20, None).astype(int)
    return [random.zipf(1.3, min(n, LAST + 1)) % ITEMS for n in lengths]


def template_steps(walks: list[np.ndarray]) -> Advance:
    """Trains the template on ragged histories, an Example for each shopper."""
    category = {"kind": "categorical", "embedding": DIM, "lookup": "identity", "unknown_share": 0}
    content = {
        "recent": {"role": "user", "kind": "sequence", "of": "sku", "last": LAST},
        "sku": {"role": "item", "rows": ITEMS, **category},
    }
    config = TrainingConfig(strategy="single", optimizers={"tables": ADAM, "dense": ADAM})
    tables = {"sku": Table(ITEMS + 1, DIM, 1)}
    inputs = ModelInputs(
        validate(FeatureSpec, content),
        tables,
        group_tables(tables, config.optimizers.of_table),
        np.full(ITEMS, 1 / ITEMS, np.float32),
    )
    model = SASRec(inputs, SASRec.Settings(dropout=DROPOUT))
    model.make_variables()
    step = make_step(model, config)
    item = np.array([walk[-1] for walk in walks])
    examples = {
        "recent": tf.RaggedTensor.from_row_lengths(
            np.concatenate([walk[:-1] for walk in walks]),
            np.array([len(walk) - 1 for walk in walks]),
        ),
        "sku": item,
        ITEM_ROW: item,
        TIME: np.zeros(len(walks), np.int64),
        WEIGHT: np.ones(len(walks), np.float32),
    }
    return steps_on(step, examples)


def keras_steps(walks: list[np.ndarray]) -> Advance:
    """Trains a Keras model on histories padded to 200 places, 0 for padding."""
    padded = np.zeros([len(walks), LAST + 1], np.int64)
    for row, walk in zip(padded, walks, strict=True):
        row[-len(walk) :] = walk + 1
    model = Plain()
    model.compile(optimizer=tf_keras.optimizers.Adam(0.001))
    return steps_on(model, {"walks": padded})


def steps_on(model: tf_keras.Model, examples: dict[str, np.ndarray | tf.RaggedTensor]) -> Advance:
    """Makes a function that makes a step on shuffled examples and returns on how many."""

    def take(rows: tf.Tensor) -> dict[str, tf.Tensor | tf.RaggedTensor]:
        return {name: tf.gather(column, rows) for name, column in examples.items()}

    rows = tf.data.Dataset.range(USERS).shuffle(USERS).repeat().batch(BATCH)
    train, iterator = model.make_train_function(), iter(rows.map(take).prefetch(2))

    def advance() -> int:
        train(iterator)
        return BATCH

    return advance


class Plain(tf_keras.Model):
    """The network of `SASRec` on `[batch, 201]` rows, padded in front."""

    def __init__(self) -> None:
        super().__init__()
        self.items = tf_keras.layers.Embedding(ITEMS + 1, DIM)
        self.places = tf_keras.layers.Embedding(LAST, DIM)
        self.dropout = tf_keras.layers.Dropout(DROPOUT)
        self.blocks = [CausalBlock(DIM, 1, DROPOUT) for _ in range(2)]
        self.norm = tf_keras.layers.LayerNormalization(epsilon=1e-6)

    def call(self, history: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Encodes `[batch, 200]` rows."""
        there = tf.cast(history > 0, tf.float32)[..., tf.newaxis]
        values = self.items(history) * DIM**0.5 + self.places(tf.range(LAST))
        values = self.dropout(values, training=training) * there
        for block in self.blocks:
            values = block(values, training=training) * there
        return self.norm(values)

    def train_step(self, inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Makes one step on a batch."""
        walks = inputs["walks"]
        history, following = walks[:, :-1], walks[:, 1:]
        negatives = tf.random.uniform(tf.shape(following), 1, ITEMS + 1, tf.int64)
        there = tf.cast(history > 0, tf.float32)
        with tf.GradientTape() as tape:
            outputs = self(history, training=True)
            positive = tf.reduce_sum(outputs * self.items(following), -1)
            negative = tf.reduce_sum(outputs * self.items(negatives), -1)
            losses = tf.nn.softplus(-positive) + tf.nn.softplus(negative)
            loss = tf.reduce_sum(losses * there) / tf.reduce_sum(there)
        self.optimizer.minimize(loss, self.trainable_variables, tape)
        return {"loss": loss}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="for a look")
    main(parser.parse_args().quick)
