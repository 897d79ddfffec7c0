"""Reading transformed Examples for training."""

from collections.abc import Callable
from pathlib import Path

import tensorflow as tf

from tfrec.features import FeatureSpec
from tfrec.features.parsing import ITEM_ROW, REPEAT, TIME, WEIGHT, parsing_spec

Batch = dict[str, tf.Tensor | tf.RaggedTensor]

_PARALLEL_FILES = 4
_SHUFFLE_BATCHES = 4


def read_examples(
    folder: Path,
    spec: FeatureSpec,
    batch_size: int,
    weight: Callable[[Batch], tf.Tensor] | None = None,
    shuffle: bool = False,
    seed: int | None = None,
) -> tf.data.Dataset:
    """Reads events as batches of features.

    Args:
      folder: a directory of TFRecord files, whose rows are in random order.
      spec: the features.
      batch_size: examples per batch; a rest that does not fill one is left out when shuffling.
      weight: maps a batch to the weights of its examples; all count alike by default.
      shuffle: whether to repeat for ever in ever new order.
      seed: of that order; a new one each time by default.

    Returns:
      Batches of the features, `item_row`, `time`, `repeat` and `weight`.
    """
    features = parsing_spec(spec, list(spec.root))
    features |= dict.fromkeys((TIME, REPEAT), features[ITEM_ROW])

    def parse(examples: tf.Tensor) -> Batch:
        batch = tf.io.parse_example(examples, features)
        batch[WEIGHT] = weight(batch) if weight else tf.ones(tf.shape(batch[TIME]))
        return batch

    files = tf.data.Dataset.list_files(str(folder / "*.tfrecord"), shuffle=shuffle, seed=seed)
    if shuffle:
        files = files.repeat()
    examples = files.interleave(
        tf.data.TFRecordDataset,
        cycle_length=_PARALLEL_FILES,
        block_length=64,
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=seed is not None or not shuffle,
    )
    if shuffle:
        examples = examples.shuffle(_SHUFFLE_BATCHES * batch_size, seed=seed)
    batches = examples.batch(batch_size, drop_remainder=shuffle)
    return batches.map(parse, num_parallel_calls=tf.data.AUTOTUNE).prefetch(2)


def read_serialized(folder: Path, batch_size: int = 8192) -> tf.data.Dataset:
    """Reads a directory's Examples unparsed and in order: batches of strings `[<=batch_size]`."""
    files = sorted(map(str, folder.glob("*.tfrecord")))
    return tf.data.TFRecordDataset(files).batch(batch_size)
