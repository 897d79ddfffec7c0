"""Reading transformed Examples for training."""

from collections.abc import Callable
from pathlib import Path

import tensorflow as tf

from tfrec.features import FeatureSpec
from tfrec.features.parsing import ITEM_ROW, REPEAT, TIME, WEIGHT, parsing_spec

Batch = dict[str, tf.Tensor | tf.RaggedTensor]

_PARALLEL_FILES = 16
_SHUFFLE_BATCHES = 4


def read_examples(
    folder: Path,
    spec: FeatureSpec,
    batch_size: int,
    weight: Callable[[Batch], tf.Tensor] | None = None,
    shuffle: bool = False,
    seed: int | None = None,
    share: tuple[int, tf.Tensor] | None = None,
) -> tf.data.Dataset:
    """Reads events as batches of features.

    Args:
      folder: a directory of TFRecord files, whose rows are in random order.
      spec: the features.
      batch_size: examples per batch; a rest that does not fill one is left out when shuffling.
      weight: maps a batch to the weights of its examples; all count alike by default.
      shuffle: whether to repeat for ever in ever new order.
      seed: of that order; a new one each time by default.
      share: number of readers and which of them this is, to read only that reader's files.

    Returns:
      Batches of the features, `_item_row`, `_time`, `_repeat` and `_weight`.
    """
    features = parsing_spec(spec, list(spec.root))
    features |= dict.fromkeys((TIME, REPEAT), features[ITEM_ROW])

    def parse(examples: tf.Tensor) -> Batch:
        batch = tf.io.parse_example(examples, features)
        batch[WEIGHT] = weight(batch) if weight else tf.ones(tf.shape(batch[TIME]))
        return batch

    files = tf.data.Dataset.from_tensor_slices(example_files(folder))
    if share:
        files = files.shard(*share)
    if shuffle:
        files = files.shuffle(_PARALLEL_FILES, seed=seed)
    examples = files.interleave(
        tf.data.TFRecordDataset,
        cycle_length=_PARALLEL_FILES,
        block_length=64,
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=seed is not None or not shuffle,
    )
    if shuffle:
        # Repeating the files instead would let interleave read one of them twice at a time.
        examples = examples.repeat().shuffle(_SHUFFLE_BATCHES * batch_size, seed=seed)
    batches = examples.batch(batch_size, drop_remainder=shuffle)
    return batches.map(parse, num_parallel_calls=tf.data.AUTOTUNE).prefetch(2)


def example_files(folder: Path) -> list[str]:
    """Lists a directory's files of Examples in order."""
    return sorted(map(str, folder.glob("*.tfrecord")))


def read_serialized(folder: Path, batch_size: int = 8192) -> tf.data.Dataset:
    """Reads a directory's Examples unparsed and in order: batches of strings `[<=batch_size]`."""
    return tf.data.TFRecordDataset(example_files(folder)).batch(batch_size)
