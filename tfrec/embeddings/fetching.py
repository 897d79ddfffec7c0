"""Fetching rows of tables, and their gradients without the tables."""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import tensorflow as tf

from tfrec.embeddings.optimizers.distinct import DistinctRows

_recording = threading.local()


@dataclass(frozen=True)
class Fetch:
    """Rows that were fetched once.

    Attributes:
      table: `[rows, dim]` variable, in one piece.
      rows: `[distinct]` int64, each once.
      values: `[distinct, dim]` float32.
    """

    table: tf.Variable
    rows: tf.Tensor
    values: tf.Tensor


def fetch(table: tf.Variable, rows: tf.Tensor) -> tf.Tensor:
    """Fetches rows of a variable.

    Args:
      table: `[rows, dim]`, in one piece.
      rows: `[distinct]` int64, each once.

    Returns:
      `[distinct, dim]`.
    """
    values = tf.gather(table, rows)
    for fetches in getattr(_recording, "open", []):
        fetches.append(Fetch(table, rows, values))
    return values


@contextlib.contextmanager
def recorded() -> Iterator[list[Fetch]]:
    """Lists what is fetched meanwhile, so that a tape can be asked for the slopes of the values.

    TensorFlow's own gradient of a table does not know that its rows are distinct, and summing the
    repeated ones that might be there costs as much as using them.
    """
    fetches: list[Fetch] = []
    _recording.open = [*getattr(_recording, "open", []), fetches]
    try:
        yield fetches
    finally:
        _recording.open = _recording.open[:-1]


def table_gradient(
    fetches: list[Fetch], slopes: list[tf.Tensor | tf.IndexedSlices]
) -> tf.IndexedSlices:
    """Makes the gradient of a table.

    Args:
      fetches: of this table; at least one.
      slopes: of their values, `[distinct, dim]` each; sparse where a value was gathered.

    Returns:
      The gradient; rows are distinct if they were fetched once.
    """
    values = tf.concat([tf.convert_to_tensor(slope) for slope in slopes], 0)
    rows = tf.concat([one.rows for one in fetches], 0)
    slices = DistinctRows if len(fetches) == 1 else tf.IndexedSlices
    return slices(values, rows, tf.constant(fetches[0].table.shape.as_list()))
