"""Reading transformed Examples: in order, or shuffled for training."""

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import tensorflow as tf

from tfrec.data.mounts import is_remote
from tfrec.data.prepared import ExampleKind
from tfrec.features import FeatureSpec
from tfrec.features.parsing import (
    EXAMPLES,
    ITEM_ROW,
    LIST,
    REPEAT,
    TIME,
    WEIGHT,
    pair_features,
    parsing_spec,
)

Batch = dict[str, tf.Tensor | tf.RaggedTensor]
Weight = Callable[[Batch], tf.Tensor]
"""Maps a batch to factors of its examples' weights, float32 `[batch]`."""

_PARALLEL_FILES = 16
_BLOCK_RECORDS = 64
_SHUFFLE_BATCHES = 8
_MEMORY_BYTES = 2 * 1024**3
_LISTS = tf.io.RaggedFeature(tf.string, row_splits_dtype=tf.int64)


def read_examples(
    folder: Path, spec: FeatureSpec, batch_size: int, weight: Weight | None = None
) -> tf.data.Dataset:
    """Reads a directory's examples once and in order.

    Args:
      folder: a directory of TFRecord files.
      spec: the features.
      batch_size: examples per batch; the last batch holds what is left.
      weight: gives factors by which the examples' weights are multiplied, as do features of role
        weight.

    Returns:
      Batches of the features, `_item_row`, `_time`, `_repeat` and `_weight`.
    """
    return _parsed(read_serialized(folder, batch_size), spec, weight)


def read_shuffled(
    folder: Path,
    files: Mapping[str, int],
    spec: FeatureSpec,
    batch_size: int,
    seed: int,
    weight: Weight | None = None,
    start: int = 0,
    share: tuple[int, int | tf.Tensor] = (1, 0),
    labels: Sequence[str] = (),
    kind: ExampleKind = "events",
    taught: Sequence[str] = (),
) -> tf.data.Dataset:
    """Reads examples for ever, each once an epoch and each epoch in a new order.

    The order is that of the files, 16 of which are read at a time, and then that within windows
    of about 8 batches. It follows from `files`, `batch_size`, `seed` and `share` alone, so that a
    reader can go on where another one stopped: whole epochs before `start` cost nothing, and the
    batches of one that has begun are passed over unparsed.

    Files of at most 2 GiB together on a remote file system are read into memory before the first
    batch. Those on a disk are not: the operating system keeps them there already.

    Args:
      folder: a directory of TFRecord files, whose rows are in random order.
      files: name of each file -> number of its examples.
      spec: the features.
      batch_size: examples per batch; a rest that fills no batch is left out of its epoch.
      seed: of the order.
      weight: gives factors by which the examples' weights are multiplied, as do features of role
        weight.
      start: number of batches to pass over.
      share: number of readers and which of them this is, to read only that reader's files; they
        must fill a batch. A reader's `start` and epochs are counted in its own batches.
      labels: columns of labels to read, where the examples have some.
      taught: columns of a teacher's predictions to read, where the examples have some.
      kind: of the Examples. A batch of `batch_size` lists has a row for each of their items.

    Returns:
      Batches as from `read_examples`, and of the labels and, with lists, `_list`. Those of pairs
      have the features of `pair_features`.

    Raises:
      tf.errors.InvalidArgumentError: if the files hold less than a batch.
    """
    paths, lengths = _share_of(folder, files, share)
    examples = tf.reduce_sum(lengths)
    batches_per_epoch = examples // batch_size
    first_epoch = start // batches_per_epoch
    window = _window(examples, batch_size)
    in_memory = _to_keep_in_memory(folder, files)
    blocks = _blocks_in_memory(paths, lengths) if in_memory else _blocks_of_files(paths)

    def read_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        random = tf.random.experimental.stateless_fold_in(tf.constant([0, seed], tf.int64), epoch)
        order = tf.random.experimental.stateless_shuffle(tf.range(tf.size(paths)), random)
        passed = tf.where(epoch == first_epoch, start % batches_per_epoch * batch_size, 0)
        windows = _shuffled(blocks(order), window, random, passed)
        return windows.rebatch(batch_size, drop_remainder=True)

    # Repeating the files instead would let interleave mix the end of an epoch with the next one.
    epochs = tf.data.Dataset.counter(first_epoch)
    return _parsed(epochs.flat_map(read_epoch), spec, weight, labels, kind, taught)


def read_serialized(folder: Path, batch_size: int = 8192) -> tf.data.Dataset:
    """Reads a directory's Examples unparsed and in order: batches of strings `[<=batch_size]`."""
    files = sorted(map(str, folder.glob("*.tfrecord")))
    return tf.data.TFRecordDataset(files).batch(batch_size)


def _parsed(
    batches: tf.data.Dataset,
    spec: FeatureSpec,
    weight: Weight | None,
    labels: Sequence[str] = (),
    kind: ExampleKind = "events",
    taught: Sequence[str] = (),
) -> tf.data.Dataset:
    if kind == "pairs":
        spec = pair_features(spec)
    features = parsing_spec(spec, list(spec.root))
    features |= dict.fromkeys((TIME, REPEAT, *labels), features[ITEM_ROW])
    features |= dict.fromkeys((WEIGHT, *taught), tf.io.FixedLenFeature([], tf.float32))
    weights = spec.of_role("weight")

    def parse(examples: tf.Tensor) -> Batch:
        if kind == "lists":
            lists = tf.io.parse_example(examples, {EXAMPLES: _LISTS})[EXAMPLES]
            batch = tf.io.parse_example(lists.flat_values, features)
            batch[LIST] = lists.value_rowids()
        else:
            batch = tf.io.parse_example(examples, features)
        factors = [batch[name] for name in weights] + ([weight(batch)] if weight else [])
        batch[WEIGHT] = functools.reduce(tf.multiply, factors, batch[WEIGHT])
        return batch

    return batches.map(parse, num_parallel_calls=tf.data.AUTOTUNE).prefetch(2)


def _share_of(
    folder: Path, files: Mapping[str, int], share: tuple[int, int | tf.Tensor]
) -> tuple[tf.Tensor, tf.Tensor]:
    """Paths and lengths, `[files]`, of a reader's files that are not empty."""
    readers, reader = share
    paths = tf.constant([str(folder / name) for name in files])[reader::readers]
    lengths = tf.constant([*files.values()], tf.int64)[reader::readers]
    return tf.boolean_mask(paths, lengths > 0), tf.boolean_mask(lengths, lengths > 0)


def _window(examples: tf.Tensor, batch_size: int) -> tf.Tensor:
    """Examples to shuffle at a time: about as many in each window.

    The rest that fills no batch comes from the last window. If that could be a small one, the same
    examples would be left out of every epoch.
    """
    windows = _ceil_divide(examples, _SHUFFLE_BATCHES * batch_size)
    return _ceil_divide(examples, windows)


def _ceil_divide(number: tf.Tensor, divisor: tf.Tensor | int) -> tf.Tensor:
    return -(-number // divisor)


def _shuffled(
    blocks: tf.data.Dataset, window: tf.Tensor, random: tf.Tensor, passed: tf.Tensor
) -> tf.data.Dataset:
    """Blocks of records -> shuffled windows of them, without the first `passed` records.

    Windows are shuffled as tensors: a buffer of single records takes twice the time.
    """

    def shuffle(number: tf.Tensor, records: tf.Tensor) -> tf.Tensor:
        seed = tf.random.experimental.stateless_fold_in(random, number)
        shuffled = tf.random.experimental.stateless_shuffle(records, seed)
        return shuffled[tf.maximum(passed - number * window, 0) :]

    windows = blocks.rebatch(window).enumerate().skip(passed // window)
    return windows.map(shuffle, num_parallel_calls=tf.data.AUTOTUNE)


def _blocks_of_files(paths: tf.Tensor) -> Callable[[tf.Tensor], tf.data.Dataset]:
    return lambda order: _blocks(order, lambda file: tf.data.TFRecordDataset(paths[file]))


def _to_keep_in_memory(folder: Path, files: Mapping[str, int]) -> bool:
    if not is_remote(folder):
        return False
    return sum((folder / name).stat().st_size for name in files) <= _MEMORY_BYTES


def _blocks_in_memory(
    paths: tf.Tensor, lengths: tf.Tensor
) -> Callable[[tf.Tensor], tf.data.Dataset]:
    def read_whole(path: tf.Tensor) -> tf.Tensor:
        return tf.data.TFRecordDataset(path).batch(2**31).get_single_element()

    contents = tf.data.Dataset.from_tensor_slices(paths)
    contents = contents.map(read_whole, num_parallel_calls=tf.data.AUTOTUNE)
    cached = contents.rebatch(tf.reduce_sum(lengths)).cache()

    def read(order: tf.Tensor) -> tf.data.Dataset:
        def read_records(records: tf.Tensor) -> tf.data.Dataset:
            files = tf.RaggedTensor.from_row_lengths(records, lengths)
            return _blocks(order, lambda file: tf.data.Dataset.from_tensor_slices(files[file]))

        return cached.flat_map(read_records)

    return read


def _blocks(order: tf.Tensor, open_file: Callable[[tf.Tensor], tf.data.Dataset]) -> tf.data.Dataset:
    """Numbers of files -> blocks of their records, in turn from several files at a time."""
    return tf.data.Dataset.from_tensor_slices(order).interleave(
        lambda file: open_file(file).batch(_BLOCK_RECORDS),
        cycle_length=_PARALLEL_FILES,
        num_parallel_calls=tf.data.AUTOTUNE,
    )
