"""Examples that are numbered by their item's row, in files of some lengths."""

from pathlib import Path

import tensorflow as tf

from tfrec.config import validate
from tfrec.features import FeatureSpec
from tfrec.features.parsing import ITEM_ROW, REPEAT, TIME, WEIGHT

ROWS, BATCH = 400, 20
LENGTHS = (70, 3, 90, 0, 65, 82, 41, 49)
SPEC = validate(
    FeatureSpec,
    {
        "sku": {"role": "item", "kind": "categorical", "embedding": 2},
        "recent": {"role": "user", "kind": "sequence", "of": "sku", "last": 3},
        "trust": {"role": "weight", "kind": "numeric"},
    },
)


def name_files(lengths: tuple[int, ...]) -> dict[str, int]:
    """Name of each file -> its length."""
    return {f"{number:02d}.tfrecord": length for number, length in enumerate(lengths)}


def write_files(folder: Path, lengths: tuple[int, ...]) -> Path:
    """Spreads examples, numbered by their item row, over files of some lengths."""
    rows = iter(range(sum(lengths)))
    for name, length in name_files(lengths).items():
        with tf.io.TFRecordWriter(str(folder / name)) as writer:
            for _ in range(length):
                writer.write(example(next(rows)))
    return folder


def example(row: int) -> bytes:
    """The Example of an item: `sku` is ten times its row, `recent` the row, row modulo 4 times."""
    integers = {
        ITEM_ROW: [row],
        "sku": [row * 10],
        "recent": [row] * (row % 4),
        TIME: [1000 + row],
        REPEAT: [row % 2],
    }
    features = {
        name: tf.train.Feature(int64_list=tf.train.Int64List(value=value))
        for name, value in integers.items()
    }
    for name, value in ((WEIGHT, row / 4), ("trust", 2.0)):
        features[name] = tf.train.Feature(float_list=tf.train.FloatList(value=[value]))
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()
