"""Items of the catalogue beside batches of events, each as likely as any other."""

from pathlib import Path

import tensorflow as tf

from tfrec.data.input_pipeline import Batch, read_serialized
from tfrec.features import FeatureSpec
from tfrec.features.parsing import UNIFORM, parsing_spec

_WHOLE = 2**31
_STREAM = 1
"""Tells these draws from those of the order of events, which follow from the same seed."""


def with_uniform_items(
    batches: tf.data.Dataset,
    folder: Path,
    spec: FeatureSpec,
    count: int,
    seed: int,
    start: int | tf.Tensor = 0,
    reader: int | tf.Tensor = 0,
) -> tf.data.Dataset:
    """Adds items of the catalogue to each batch, drawn uniformly and with repetition.

    What is drawn follows from `seed`, `reader` and the batch's number alone, so that a reader can
    go on where another one stopped. The serialised Examples of all items stay in memory.

    Args:
      batches: batches of Examples, as `read_shuffled` returns them.
      folder: directory of the items' Examples.
      spec: the features.
      count: items for each batch.
      seed: of the draws.
      start: number of the first batch.
      reader: which one of several readers this is.

    Returns:
      The batches, and behind `UNIFORM` the items' rows of the catalogue and their features of role
      item, each `[count]`.
    """
    features = parsing_spec(spec, spec.of_role("item"))
    of_reader = tf.random.experimental.stateless_fold_in(
        tf.constant([_STREAM, seed], tf.int64), tf.cast(reader, tf.int64)
    )

    def draw(items: tf.Tensor) -> tf.data.Dataset:
        def draw_one(number: tf.Tensor) -> Batch:
            random = tf.random.experimental.stateless_fold_in(of_reader, number)
            rows = tf.random.stateless_uniform(
                [count], random, maxval=tf.size(items), dtype="int32"
            )
            parsed = tf.io.parse_example(tf.gather(items, rows), features)
            return {UNIFORM + name: column for name, column in parsed.items()}

        numbers = tf.data.Dataset.counter(tf.cast(start, tf.int64))
        return numbers.map(draw_one, num_parallel_calls=tf.data.AUTOTUNE)

    drawn = read_serialized(folder, _WHOLE).flat_map(draw)
    both = tf.data.Dataset.zip((batches, drawn))
    return both.map(lambda batch, items: {**batch, **items}).prefetch(2)
