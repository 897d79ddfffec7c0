"""Tables -> groups: tables of one width and optimiser share one variable."""

import itertools
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import tensorflow as tf

from tfrec.embeddings.optimizers.config import OptimizerSettings
from tfrec.features.plan import Table

_GOLDEN = 0.6180339887498949


@dataclass(frozen=True)
class Group:
    """Tables that lie behind each other in one variable.

    Rows that are asked for more often than others often follow each other, as the low numbers of
    an `identity` lookup do, and servers hold rows that follow each other. So that no server gets
    all the busy ones, rows are scattered over the variable:

        place(row) = row * stride mod rows

    with a stride that shares no divisor with `rows` and is near its golden section, which spreads
    any run of rows evenly, whatever the number of servers.

    Attributes:
      name: of the group.
      dim: floats per row.
      rows: all of them.
      offsets: table -> its first row, before rows are scattered.
      optimizer: what moves the rows.
    """

    name: str
    dim: int
    rows: int
    offsets: Mapping[str, int]
    optimizer: OptimizerSettings

    @cached_property
    def stride(self) -> int:
        """Distance between the places of rows that follow each other."""
        stride = max(1, round(self.rows * _GOLDEN))
        while math.gcd(stride, self.rows) > 1:
            stride += 1
        return stride

    def place(self, table: str, rows: tf.Tensor) -> tf.Tensor:
        """Maps rows of a table, int64 `[any]`, to rows of the variable."""
        return (rows + self.offsets[table]) * self.stride % self.rows


def group_tables(
    tables: Mapping[str, Table], optimizer_of: Callable[[str], OptimizerSettings]
) -> tuple[Group, ...]:
    """Groups tables by their width and optimiser.

    Args:
      tables: name -> table.
      optimizer_of: gives the optimiser of a table by its name.

    Returns:
      The groups, in the order of their first tables.
    """
    members: dict[str, list[str]] = {}
    for name, table in tables.items():
        settings = optimizer_of(name).model_dump_json()
        members.setdefault(f"{table.dim} {settings}", []).append(name)
    groups: dict[str, Group] = {}
    for names in members.values():
        group = _group(names, tables, optimizer_of(names[0]), taken=groups)
        groups[group.name] = group
    return tuple(groups.values())


def _group(
    names: Sequence[str],
    tables: Mapping[str, Table],
    optimizer: OptimizerSettings,
    taken: Collection[str],
) -> Group:
    dim = tables[names[0]].dim
    plain = f"{optimizer.kind}_{dim}"
    numbered = (f"{plain}_{number}" for number in itertools.count(2))
    name = next(name for name in itertools.chain([plain], numbered) if name not in taken)
    ends = list(itertools.accumulate(tables[member].rows for member in names))
    return Group(name, dim, ends[-1], dict(zip(names, [0, *ends], strict=False)), optimizer)
