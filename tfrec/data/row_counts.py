"""How many Examples each row of an embedding table has."""

from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from tfrec.data.input_pipeline import read_serialized
from tfrec.data.prepared import ExampleFiles
from tfrec.features import FeatureSpec
from tfrec.features.parsing import parsing_spec


def count_rows(
    examples: ExampleFiles, spec: FeatureSpec, rows: Mapping[str, int]
) -> dict[str, np.ndarray]:
    """Counts the Examples of each row, reading them once.

    Args:
      examples: transformed Examples.
      spec: the features.
      rows: categorical feature -> rows of its table.

    Returns:
      Feature -> `[rows]` int64.
    """
    parsing = parsing_spec(spec, list(rows))
    counts = {name: np.zeros(size, np.int64) for name, size in rows.items()}
    for serialized in read_serialized(examples.folder):
        batch = tf.io.parse_example(serialized, parsing)
        for name, size in rows.items():
            counts[name] += np.bincount(batch[name], minlength=size)
    return counts
