"""Rows of tables in a checkpoint -> rows of other tables."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import tensorflow as tf

from tfrec.embeddings.groups import Group
from tfrec.embeddings.optimizers.make import make_optimizer
from tfrec.embeddings.optimizers.sparse import LAST_STEP

TABLE = "table"
"""What the rows themselves are called beside their slots."""

NewRows = Callable[[np.ndarray], np.ndarray]
"""Maps rows of a table, int64 `[n]`, to the rows that they become; -1 for none."""

Variables = Mapping[str, Sequence[tf.Variable]]
"""`TABLE` and the names of slots -> the variable's shards, the first rows first."""

_ROWS_AT_ONCE = 2**20
_VALUE = ".ATTRIBUTES/VARIABLE_VALUE"
_TABLE_KEY = f"model/embedding/group_tables/{{group}}/table/{_VALUE}"
_SLOT_KEY = f"optimizer/tables/{{group}}/_variables/{{number}}/{_VALUE}"


class SavedGroups:
    """The groups of tables in a checkpoint of training.

    Attributes:
      groups: the groups.
    """

    def __init__(self, prefix: str, groups: Sequence[Group], shards: Callable[[int], int]) -> None:
        """Describes them; nothing is read yet.

        Args:
          prefix: of the checkpoint.
          groups: as they were in training.
          shards: rows of a group -> number of its shards.
        """
        self.groups = tuple(groups)
        self._prefix, self._shards = prefix, shards

    def pieces(self, group: Group) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
        """Reads the rows of a group and their slots, one shard after the other.

        TensorFlow reads no less than a shard of a file at once.

        Yields:
          `TABLE` or the name of a slot, the rows of the variable, `[n]` int64, and what stands in
          them, `[n, floats]`; about a million rows at the most.
        """
        for column, key in self._keys(group).items():
            for first, values in self._shards_of(key):
                for start in range(0, len(values), _ROWS_AT_ONCE):
                    piece = values[start : start + _ROWS_AT_ONCE]
                    yield column, first + start + np.arange(len(piece)), piece

    def _keys(self, group: Group) -> dict[str, str]:
        """`TABLE` and the names of the slots -> key in the checkpoint."""
        keys = {TABLE: _TABLE_KEY.format(group=group.name)}
        # The optimiser's first variable is its own count of steps.
        for number, slot in enumerate(make_optimizer(group.optimizer).all_slots(), 1):
            keys[slot] = _SLOT_KEY.format(group=group.name, number=number)
        return keys

    def _shards_of(self, key: str) -> Iterator[tuple[int, np.ndarray]]:
        """Yields the first row of each shard, and the shard."""
        rows, floats = tf.train.load_checkpoint(self._prefix).get_variable_to_shape_map()[key]
        shards, first = self._shards(rows), 0
        for shard in range(shards):
            count = rows // shards + (shard < rows % shards)
            part = f"{rows} {floats} {first},{count}:0,{floats}" if shards > 1 else ""
            (values,) = tf.raw_ops.RestoreV2(
                prefix=self._prefix,
                tensor_names=[key],
                shape_and_slices=[part],
                dtypes=[tf.float32],
            )
            yield first, values.numpy()
            first += count


def transfer(
    saved: SavedGroups,
    groups: Sequence[Group],
    variables: Mapping[str, Variables],
    new_rows: Mapping[str, NewRows],
    steps: int,
) -> None:
    """Moves rows, and their slots where an optimiser of the same kind goes on with them.

    Rows that nothing becomes, and slots that were not saved, stay as they are. In memory at once
    are a shard of the checkpoint, which is what a parameter server held, and a million rows.

    Args:
      saved: the old groups.
      groups: the new ones, of the same tables.
      variables: of each new group.
      new_rows: table -> what its rows become.
      steps: that the old optimiser made; the new one's count from 0.
    """
    group_of = {table: group for group in groups for table in group.offsets}
    for old in saved.groups:
        for column, places, values in saved.pieces(old):
            if column == LAST_STEP:
                values -= steps
            for table, own, rows in _rows_at(old, places):
                new = group_of[table]
                if column == TABLE or old.optimizer.kind == new.optimizer.kind:
                    becomes = new_rows[table](rows)
                    stays = becomes >= 0
                    target = new.place(table, becomes[stays])
                    _scatter(variables[new.name].get(column, ()), target, values[own][stays])


def _rows_at(group: Group, places: np.ndarray) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Says which rows stand at places, the other way round than `Group.place`.

    Yields:
      A table, bool `[places]` for those that are its own, and int64 `[own]` rows of the table.
    """
    scattered_back = places * pow(group.stride, -1, group.rows) % group.rows
    ends = [*list(group.offsets.values())[1:], group.rows]
    for (table, offset), end in zip(group.offsets.items(), ends, strict=True):
        own = (scattered_back >= offset) & (scattered_back < end)
        yield table, own, scattered_back[own] - offset


def _scatter(shards: Sequence[tf.Variable], places: np.ndarray, values: np.ndarray) -> None:
    first = 0
    for shard in shards:
        own = (places >= first) & (places < first + shard.shape[0])
        rows = tf.IndexedSlices(tf.constant(values[own]), tf.constant(places[own] - first))
        # Of processes in step, each does this for its own replicas.
        for copy in tf.distribute.get_strategy().experimental_local_results(shard):
            copy.scatter_update(rows)
        first += shard.shape[0]
