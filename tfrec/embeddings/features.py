"""Batches of transformed features -> vectors, with one lookup per group of tables."""

import functools
from collections.abc import Callable, Mapping
from collections.abc import Sequence as Ordered
from typing import TypeAlias

import tensorflow as tf
import tf_keras

from tfrec.embeddings.dynamic_vocabulary import DynamicVocabulary
from tfrec.embeddings.groups import Group
from tfrec.embeddings.pooling import Pooling, pool
from tfrec.embeddings.table import GroupTable
from tfrec.features import Categorical, FeatureSpec, MultiCategorical, Sequence, Text
from tfrec.features.parsing import SOURCE
from tfrec.features.plan import Table

Column: TypeAlias = "tf.Tensor | tf.RaggedTensor"
Features = Mapping[str, Column]
Pool = Callable[[tf.RaggedTensor], tf.Tensor]
"""Maps the embedded values of lists, ragged `[batch, values, dim]`, to `[batch, any]`."""


class FeatureEmbedding(tf_keras.layers.Layer):
    """Embeds features, asking each group of tables once for all of them.

    In training each category hides its value in a share of the rows (`unknown_share`), which
    teaches the unknown rows to stand for shoppers and items that are not known yet.

    Attributes:
      groups: the groups of tables.
      group_tables: name of a group -> its variable.
      vocabularies: table -> what gives out its rows, where that happens in training.
    """

    def __init__(
        self,
        spec: FeatureSpec,
        tables: Mapping[str, Table],
        groups: Ordered[Group],
        pools: Mapping[str, Pool] | None = None,
    ) -> None:
        """Makes the groups' variables.

        Args:
          spec: the features.
          tables: name -> table.
          groups: the same tables in their groups.
          pools: feature -> what pools its lists, in place of its `pooling`.
        """
        super().__init__()
        self._spec, self._tables, self._pools = spec, dict(tables), dict(pools or {})
        self.groups = tuple(groups)
        self.vocabularies = {
            name: DynamicVocabulary(table, name=f"{name}_vocabulary")
            for name, table in tables.items()
            if table.dynamic
        }
        self._group_of = {table: group for group in groups for table in group.offsets}
        self.group_tables = {
            group.name: GroupTable(group.rows, group.dim, name=group.name) for group in groups
        }

    def call(self, features: Features, training: bool = False) -> dict[str, tf.Tensor]:
        """Embeds some features of a batch; they need not have as many rows as each other.

        Args:
          features: name -> what `preprocessing_fn` makes of it, with ragged for sparse: rows of a
            table, int64 `[batch]`; lists of them, ragged `[batch, values]`; numbers, float32
            `[batch]`; or vectors, float32 `[batch, dim]`.
          training: whether to hide values.

        Returns:
          Name -> `[batch, floats]`: a row, a list's pooled rows, a number or a vector.
        """
        embedded = {}
        places: dict[str, dict[str, Column]] = {}
        for name, column in features.items():
            table = self._spec.table_of(name)
            if table in self._tables:
                group = self._group_of[table]
                rows = self._rows(name, column, table, training)
                place = functools.partial(group.place, table)
                places.setdefault(group.name, {})[name] = _map_values(place, rows)
            else:
                numbers = column[:, tf.newaxis] if column.shape.rank == 1 else column
                embedded[name] = tf.cast(numbers, self.compute_dtype)
        for group_name, wanted in places.items():
            embedded |= self._look_up(self.group_tables[group_name], wanted)
        return embedded

    def pooled(self, name: str, lists: tf.RaggedTensor) -> tf.Tensor:
        """Pools a feature's lists as `call` does.

        Args:
          name: of the feature.
          lists: embedded values, ragged `[batch, values, dim]`.

        Returns:
          What `call` returns of the feature.
        """
        if name in self._pools:
            return self._pools[name](lists)
        rows = lists.flat_values
        positions = lists.with_flat_values(tf.range(tf.shape(rows)[0]))
        return pool(rows, positions, self._pooling(name))

    def give_out_rows(
        self, features: Features, times: tf.Tensor
    ) -> list[tuple[Group, tf.Tensor, tf.Tensor]]:
        """Lets dynamic vocabularies see a batch of training.

        Args:
          features: all features of the batch, of pairs those of both items. Sequences are passed
            over: what is in them has occurred in an earlier example.
          times: `[batch]` int64, the examples' moments in seconds since 1970.

        Returns:
          For each vocabulary its group, the places in it that are another value's now, int64
          `[any]`, and a seed for their fresh values, an int64 scalar.
        """
        renewed = []
        for table, vocabulary in self.vocabularies.items():
            columns = [
                _occurrences(features[column], times)
                for name in self._spec.inputs
                if self._spec.table_of(name) == table and not isinstance(self._spec[name], Sequence)
                for column in (name, SOURCE + name)
                if column in features
            ]
            ids, moments = (tf.concat(parts, 0) for parts in zip(*columns, strict=True))
            group = self._group_of[table]
            places = group.place(table, vocabulary.observe(ids, moments))
            renewed.append((group, places, tf.identity(vocabulary.version)))
        return renewed

    def _rows(self, name: str, column: Column, table: str, training: bool) -> Column:
        feature = self._spec[name]
        if table in self.vocabularies:
            column = _map_values(self.vocabularies[table], column)
        if training and isinstance(feature, Categorical) and feature.unknown_share > 0:
            return _hide(column, feature.unknown_share, self._tables[table])
        return column

    def _look_up(self, group: GroupTable, places: Mapping[str, Column]) -> dict[str, tf.Tensor]:
        """Fetches every distinct row of a group once, and gives each feature its own."""
        values = [_values(column) for column in places.values()]
        distinct, position = tf.unique(tf.concat(values, 0))
        rows = tf.cast(group(distinct), self.compute_dtype)  # [distinct, dim]
        parts = tf.split(position, [tf.size(part) for part in values])
        return {
            name: self._pooled(name, rows, _with_values(column, part))
            for (name, column), part in zip(places.items(), parts, strict=True)
        }

    def _pooled(self, name: str, rows: tf.Tensor, positions: Column) -> tf.Tensor:
        if not isinstance(positions, tf.RaggedTensor):
            return tf.gather(rows, positions)
        if name in self._pools:
            return self._pools[name](_map_values(functools.partial(tf.gather, rows), positions))
        # Without a copy of a row for every list that it is in.
        return pool(rows, positions, self._pooling(name))

    def _pooling(self, name: str) -> Pooling:
        feature = self._spec[name]
        assert isinstance(feature, MultiCategorical | Sequence | Text)  # only these are lists
        return feature.pooling


def _occurrences(column: Column, times: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The values of a batch, and the moment of each."""
    if isinstance(column, tf.RaggedTensor):
        return column.flat_values, tf.gather(times, column.value_rowids())
    return column, times


def _values(column: Column) -> tf.Tensor:
    return column.flat_values if isinstance(column, tf.RaggedTensor) else column


def _with_values(column: Column, values: tf.Tensor) -> Column:
    return column.with_flat_values(values) if isinstance(column, tf.RaggedTensor) else values


def _map_values(change: Callable[[tf.Tensor], tf.Tensor], column: Column) -> Column:
    return _with_values(column, change(_values(column)))


def _hide(ids: tf.Tensor, share: float, table: Table) -> tf.Tensor:
    """Puts an unknown row, any of them, in the place of a share of `[batch]` rows.

    The batch itself is the seed: training that goes on hides what it would have hidden.
    """
    seed = tf.stack([tf.reduce_sum(ids), tf.reduce_sum(ids * tf.range(tf.size(ids, tf.int64)))])
    draws = tf.random.stateless_uniform([2, tf.size(ids)], seed)  # in [0, 1)
    known, unknown = table.rows - table.unknown_rows, table.unknown_rows
    hidden = known + tf.cast(draws[1] * unknown, ids.dtype)
    return tf.where(draws[0] < share, hidden, ids)
