"""What preparation leaves in files, read in plain Python."""

import json
from pathlib import Path
from typing import Any

import tensorflow as tf

from tfrec.features.parsing import EXAMPLES

Example = dict[str, tuple]
"""Feature -> its values."""


def read_example_files(folder: Path) -> dict[str, list[Example]]:
    """The Examples of each TFRecord file of a directory, in their order."""
    return {
        file.name: [_values(record) for record in _records(file)]
        for file in sorted(folder.glob("*.tfrecord"))
    }


def read_all_examples(folder: Path) -> list[Example]:
    """The Examples of all TFRecord files of a directory."""
    return [example for file in read_example_files(folder).values() for example in file]


def read_lists(folder: Path) -> list[list[Example]]:
    """The Examples of each list of a directory of lists."""
    return [
        [_values(record) for record in example[EXAMPLES]] for example in read_all_examples(folder)
    ]


def read_rejects(folder: Path, source: str) -> list[dict[str, Any]]:
    """What `rejects/` says of a source's rows."""
    files = sorted(folder.glob(f"{source}-*"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def _records(file: Path) -> list[bytes]:
    return list(tf.data.TFRecordDataset(str(file)).as_numpy_iterator())


def _values(record: bytes) -> Example:
    features = tf.train.Example.FromString(record).features.feature
    return {
        name: tuple(getattr(value, value.WhichOneof("kind") or "int64_list").value)
        for name, value in features.items()
    }
