"""The items' transformed features in a graph, so that a ranker is asked with ids alone."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfrec.data.catalogue import Catalogue
from tfrec.data.input_pipeline import read_serialized
from tfrec.data.prepared import PreparedData
from tfrec.embeddings.features import Features
from tfrec.features import FeatureSpec
from tfrec.features.parsing import parsing_spec


class CatalogueFeatures(tf.Module):
    """Rows of the catalogue -> transformed features.

    Attributes:
      items: number of items.
    """

    def __init__(self, spec: FeatureSpec, names: Sequence[str], data: PreparedData) -> None:
        """Reads the features `names` of all items into memory."""
        super().__init__()
        ids = np.asarray(Catalogue(data.catalogue).ids, dtype=object)
        self.items = len(ids)
        self._rows = row_table(ids)
        parsing = parsing_spec(spec, names)
        batches = [
            tf.io.parse_example(examples, parsing) for examples in read_serialized(data.items)
        ]
        self._columns = {
            name: _held(tf.concat([batch[name] for batch in batches], 0)) for name in names
        }

    def rows(self, ids: tf.Tensor) -> tf.Tensor:
        """Finds the rows of items: int64 of the shape of `ids`, -1 for an unknown id."""
        return self._rows.lookup(ids)

    def __call__(self, rows: tf.Tensor) -> Features:
        """Takes the features of `[n]` rows."""
        return {name: tf.gather(_column(held), rows) for name, held in self._columns.items()}


def row_table(ids: Sequence[str] | np.ndarray) -> tf.lookup.StaticHashTable:
    """A table from the items' ids, given by row, to their rows; -1 for an unknown id."""
    keys = tf.constant(np.asarray(ids, dtype=object))
    rows = tf.range(len(ids), dtype=tf.int64)
    return tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(keys, rows), -1)


def _held(column: tf.Tensor | tf.RaggedTensor) -> list[tf.Variable]:
    """Variables: constants would be written into the graph, which may not pass 2 GB."""
    parts = (
        [column.flat_values, column.row_splits] if isinstance(column, tf.RaggedTensor) else [column]
    )
    return [tf.Variable(part, trainable=False) for part in parts]


def _column(held: list[tf.Variable]) -> tf.Tensor | tf.RaggedTensor:
    if len(held) == 1:
        return held[0].read_value()
    values, splits = held
    return tf.RaggedTensor.from_row_splits(values, splits, validate=False)
